"""Several devices and processes that train as one. No recipe, no store."""
