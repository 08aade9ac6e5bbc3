"""Model registry, loader, store watcher, canary and shadow: which version answers. No bytes, no HTTP."""
