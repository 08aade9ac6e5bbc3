"""How the tables of corrections came to be, step by step; `Corrections.prepare` applies what is missing."""
