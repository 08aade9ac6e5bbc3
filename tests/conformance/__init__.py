"""What a server does and does not do of the protocols that clients of inference servers speak."""
