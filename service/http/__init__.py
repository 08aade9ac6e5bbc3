"""HTTP apart from any route: request bodies, compression, media types, timeouts, disconnects, error responses."""
