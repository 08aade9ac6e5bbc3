"""Metrics, traces, logs, drift, request context. Gets plain labels and numbers; calls no other room."""
