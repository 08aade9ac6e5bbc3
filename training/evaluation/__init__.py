"""How good a version is: errors, calibration, trust, baselines, latency. Chooses nothing."""
