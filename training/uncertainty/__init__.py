"""Uncertainty: out-of-distribution distance, conformal rejection and prediction sets. Arithmetic only."""
