"""MLServer, another server of the Open Inference Protocol, to see whether the suite judges fairly."""
