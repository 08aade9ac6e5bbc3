"""The service's paths, a file for each noun."""
