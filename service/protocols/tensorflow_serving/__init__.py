"""TensorFlow Serving's REST API (`/v1`) as pure functions."""
