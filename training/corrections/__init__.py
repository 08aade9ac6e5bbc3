"""Corrections of predictions: the table in a SQL database, and its migrations."""

from training.corrections.database import CorrectionsUnavailable
from training.corrections.table import Added, Correction, Corrections, KeyReused

__all__ = ["Added", "Correction", "Corrections", "CorrectionsUnavailable", "KeyReused"]
