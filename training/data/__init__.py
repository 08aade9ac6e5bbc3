"""Digits as data: what they are, the forms they are read and written in, the validation split, a picture of them."""
