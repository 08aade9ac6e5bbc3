"""Which versions are loaded, which one answers, and how that follows the store. No bytes, no HTTP."""
