"""Wire formats: bytes to pictures, answers to bytes. Pure functions."""
