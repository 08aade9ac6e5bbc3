"""Provenance of a version: the code, the libraries and the device that it was trained with."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

import jax

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def code() -> str:
    """The version of this package; from a checkout also the commit, with `-dirty` when files differ from the commit."""
    version = metadata.version("digits")
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return version
    return f"{version}+{commit}"


def libraries() -> dict[str, str]:
    """Versions of the libraries that the outcome of training depends on."""
    return {name: metadata.version(name) for name in LIBRARIES}


def device() -> str:
    """The devices of JAX, such as `1 x cpu`."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"
