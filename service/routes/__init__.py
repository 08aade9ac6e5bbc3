"""Endpoints, a file for each path family: read, decode, predict, encode. Only here protocols meet models."""
