"""Contact sheets of generated photos."""
