"""A correction as tests keep it."""

SEVEN = bytes(range(196)) * 4
WHOLE = {"digit": 7, "pixels": SEVEN, "client_key": "k", "model": "lenet", "version": 3, "predicted": 1}
