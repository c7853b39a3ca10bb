"""What an operator sees of the whole pipeline, between runs as well: store and instance, served as metrics."""
