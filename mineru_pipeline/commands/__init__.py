"""What the subcommands do; ``mineru_pipeline.cli`` only declares them."""
