"""The networks of digits as other libraries train them: a script each, run in a virtual environment of their own."""
