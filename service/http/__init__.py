"""HTTP apart from any route: bodies, compression, work off the loop, media types, timeouts, disconnects, errors."""
