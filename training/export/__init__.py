"""Export: a version as one file that runs without this package, StableHLO or ONNX, proven by its golden pictures."""
