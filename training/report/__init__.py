"""The report: data, training curves, scores and mistakes of every model, as one HTML file that needs no network."""
