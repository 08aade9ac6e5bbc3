"""The commands of `python -m training`, a file for each: the asking and the showing; the doing is elsewhere."""
