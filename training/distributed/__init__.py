"""Data-parallel training on several devices and processes: mesh, broadcasts, checkpoints. No recipe, no store."""
