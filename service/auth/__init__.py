"""Who may ask: the key file, the middleware, the command that makes a key."""
