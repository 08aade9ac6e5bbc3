"""From corrections to a challenger, and through the gate to a champion."""
