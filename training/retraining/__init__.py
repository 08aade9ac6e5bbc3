"""Retraining: from corrections to a challenger, and through the non-inferiority gate to a champion."""
