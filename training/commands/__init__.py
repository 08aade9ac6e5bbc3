"""The commands of `python -m training`, a file for each: options and output. The work is done in the other rooms."""
