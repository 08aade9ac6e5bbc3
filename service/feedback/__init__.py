"""Corrections: their form, their way to the database, and the recent predictions that they may name."""
