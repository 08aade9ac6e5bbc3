"""Dynamic batching: rows in, rows out; a queue and the threads that compute it. Imports nothing of the project."""
