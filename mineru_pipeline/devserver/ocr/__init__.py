"""Recognition on a CPU: page layout, text, tables and words in pictures, from weights inside wheels."""

import os

# From its first session on, onnxruntime reports to its maker; its own function to stop that does not reach this.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
