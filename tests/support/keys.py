"""What opens with the key in the fixture `keys_file`."""

AUTHORIZATION = {"Authorization": "Bearer secret"}
