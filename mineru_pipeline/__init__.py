"""Turn PDFs into quality-gated, versioned structured text with MinerU, vLLM and Dagster."""
