"""Outlier exposure: generated pictures of no digit, and digits of other hands, for the out-of-distribution head."""
