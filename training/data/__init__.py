"""Data: labelled digits, the file formats they are read from and written to, the validation split, a gallery."""
