"""From a PDF's bytes to committed outputs: render, extract, assemble, as one bounded stream."""
