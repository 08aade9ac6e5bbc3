"""The report: what was trained, on what, how well it does and where it errs, as one HTML file that needs no network."""
