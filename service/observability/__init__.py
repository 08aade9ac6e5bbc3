"""Metrics, traces, logs, drift, request context. Gets labels, numbers and batches; calls no other room."""
