"""Authentication: the key file, the middleware, and the command that makes a key."""
