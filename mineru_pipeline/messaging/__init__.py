"""Documents announced by messages, and what becomes of them told by messages."""
