"""Wire formats: bytes to pictures, answers to bytes. Pure functions, but for the thread pool that decodes images."""
