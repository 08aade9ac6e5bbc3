"""What every request and response has, whatever its content: body, compression, media types, timeout, disconnect, errors."""
