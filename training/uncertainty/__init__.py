"""Whether an answer can be trusted: out-of-distribution distance, rejection, moments of the ink. Arithmetic only."""
