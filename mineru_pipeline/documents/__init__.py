"""Documents before they are parsed: references, batches, probing, and the child that opens hostile bytes."""
