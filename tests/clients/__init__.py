"""Clients that generators make of openapi.json: they are type-checked, and predict."""
