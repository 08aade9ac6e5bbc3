"""Uncertainty: out-of-distribution detector, conformal rejection and prediction sets. Arithmetic only."""
