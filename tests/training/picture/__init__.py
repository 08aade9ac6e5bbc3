"""Tests of the preparation of pictures."""
