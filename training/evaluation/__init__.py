"""Evaluation: errors, calibration, trust, baselines, latency, paired tests. Measures, and chooses nothing."""
