"""Metrics, traces, logs, request context. Is told plain labels and numbers; asks nobody."""
