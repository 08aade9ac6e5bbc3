"""The Open Inference Protocol (`/v2`) as pure functions."""
