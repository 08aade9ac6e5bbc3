"""Checks and figures on a GPU or a TPU: `python -m tests.accelerator`."""
