"""The native protocol of `/predict`: JSON, octets, .npy and image files to pictures, answers to bodies."""
