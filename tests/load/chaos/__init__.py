"""A chaos run: clients that know their answers, while workers are killed, versions are swapped and disks are full."""
