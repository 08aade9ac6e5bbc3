"""What every request and response has, whatever it is about: body, compression, media types, timeout, errors."""
