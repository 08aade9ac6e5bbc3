"""The image and the pods, for real: `make container-test` builds, runs and stops them. Not part of `make test`."""
