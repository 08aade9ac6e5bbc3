"""The out-of-distribution detector as it is computed: a distance, and a head that has learned pictures of no digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from training.uncertainty.novelty import Detector


def squared_distance(detector: Detector, ink: jax.Array, logits: jax.Array) -> jax.Array:
    """The squared distance [n] from the nearest class, by moments [n, 6] and logits [n, 10]; traceable by jax.jit."""
    whitened = jnp.concatenate([ink, logits], axis=1) @ detector.whitening
    return jnp.square(whitened[:, None, :] - detector.means).sum(axis=2).min(axis=1)


def numbers(features: jax.Array, ink: jax.Array, logits: jax.Array, squared: jax.Array) -> jax.Array:
    """What the head reads of pictures, float32 [n, f + 17]; traceable by jax.jit.

    The network's features [n, f], the moments of the ink [n, 6], the logits [n, 10], and the logarithm of the squared
    distance [n].
    """
    return jnp.concatenate([features, ink, logits, jnp.log1p(squared)[:, None]], axis=1)


def score(head: jax.Array, numbers: jax.Array) -> jax.Array:
    """The log-odds [n] of no digit, less a constant, by a head [m + 2, hidden] and numbers [n, m]."""
    return jax.nn.relu(numbers @ head[:-2] + head[-2]) @ head[-1]
