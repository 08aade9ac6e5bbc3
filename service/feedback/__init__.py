"""Corrections by users: request format, asynchronous access to the database, and the recent predictions."""
