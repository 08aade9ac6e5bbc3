"""Photos: generated pictures of handwriting as people photograph it, and of what is no digit, by family and seed."""
