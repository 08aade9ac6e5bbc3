"""Wire formats as pure functions: bytes to pictures, answers to bytes."""
