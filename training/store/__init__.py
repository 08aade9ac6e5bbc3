"""The checkpoint store: immutable versions with their cards and manifests, aliases, gate decisions."""

from training.store.aliases import CHALLENGER, CHAMPION
from training.store.checkpoint_store import NAME, VERSION_LIMIT, Store, UnknownModel, UnknownVersion
from training.store.manifest import CorruptVersion, StoreError

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "NAME",
    "VERSION_LIMIT",
    "CorruptVersion",
    "Store",
    "StoreError",
    "UnknownModel",
    "UnknownVersion",
]
