"""The service's own protocol: JSON, octets, .npy and image files to pictures, answers to bodies."""
