"""HTTP apart from any route: bodies, compression, work off the event loop, media types, timeouts, disconnects, errors."""
