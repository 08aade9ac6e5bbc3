"""More versions of a model, each with answers of its own, without training any."""

import jax
import msgspec
import numpy as np

from training.network.compiled import CompiledNetwork
from training.store import CHAMPION, Store
from training.store import card as cards


def publish_variant(store: Store, model: str, scale: float) -> int:
    """Publishes the champion with all its weights times `scale`; its golden predictions are its own."""
    card, params = store.load(model, CHAMPION)
    scaled = jax.tree.map(lambda leaf: np.asarray(leaf) * np.float32(scale), params)
    images = card.golden.images
    temperature, detector = card.calibration.temperature, card.trust.novelty.detector
    columns = CompiledNetwork(card.layers, scaled, temperature=temperature, detector=detector).columns(images)
    return store.publish(msgspec.structs.replace(card, golden=cards.golden(images, columns)), scaled)
