"""The strata: kinds of documents, each with its own way to go wrong."""
