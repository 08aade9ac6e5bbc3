"""The checkpoint store (a model registry): immutable versions, and aliases that name the live one.

    <store>/<model>/<version>/        params/ (Orbax), card.json, history.jsonl (a row an epoch), manifest.json
    <store>/<model>/aliases.json      champion, previous, challenger -> version; changes.jsonl logs who changed them
    <store>/<model>/decisions/        the gate's decisions on versions

A version appears whole or not at all. The same files are in a folder (`local_storage`) and in object storage
(`object_storage`).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from training.errors import did_you_mean
from training.store import manifest
from training.store.aliases import CHALLENGER, CHAMPION, FIRST, PREVIOUS, Aliases, AliasMoved
from training.store.decisions import Decisions
from training.store.manifest import CorruptVersion, StoreError
from training.store.storage import CACHE_LIMIT_BYTES, VERSION, open_storage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from training.network.module import Params
    from training.settings import StoreSettings
    from training.store.aliases import Change
    from training.store.card import Card

CARD, HISTORY, PARAMS = "card.json", "history.jsonl", "params"
NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
_NAME = re.compile(NAME)
VERSION_LIMIT: Final = 2**31 - 1
"""The largest version: databases of corrections, memories of predictions and clients keep versions in 32 bits."""
CARD_LIMIT_BYTES: Final = 8 * 2**20


class UnknownModel(StoreError, LookupError):
    """No such model in the store."""


class UnknownVersion(StoreError, LookupError):
    """No such version or alias of a model."""


class Store:
    """A store at a path or a URL, which several machines may share. Each call asks for what is there.

    `cache` is the folder that files of object storage are kept in, at most `cache_limit_bytes` of them. Raises
    StoreError for a URL of another kind than s3://, gs:// and az://. Every method raises StoreError where the storage
    does not answer.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        cache: Path | None = None,
        cache_limit_bytes: int = CACHE_LIMIT_BYTES,
    ) -> None:
        self._cache, self._cache_limit_bytes = cache, cache_limit_bytes
        self._storage = open_storage(os.fspath(path), cache, cache_limit_bytes)
        self._decisions = Decisions(self._storage)

    @classmethod
    def of(cls, settings: StoreSettings) -> Self:
        """The store that the settings name."""
        return cls(settings.store, cache=settings.cache, cache_limit_bytes=settings.cache_limit_bytes)

    @property
    def path(self) -> Path:
        """The folder of a store on disk; for object storage, one of this machine for what is not shared."""
        return self._storage.folder

    @property
    def location(self) -> str:
        """The path or the URL of the store."""
        return self._storage.location

    def within(self, name: str) -> Store:
        """The store in a folder of this one, where no service looks for models."""
        return Store(self._storage.address(name), cache=self._cache, cache_limit_bytes=self._cache_limit_bytes)

    def models(self) -> list[str]:
        """Names of the models that have a version, sorted."""
        names = filter(_NAME.fullmatch, self._storage.folders())
        return sorted(name for name in names if self._storage.versions(name))

    def versions(self, model: str) -> list[int]:
        """Versions of a model, ascending. Raises UnknownModel."""
        if not (versions := self._storage.versions(_checked(model))):
            others = self.models()
            known = (", ".join(others) or "no model at all") + did_you_mean(model, others)
            raise UnknownModel(f"there is no model {model!r} in the store {self.location}; it holds {known}")
        return versions

    def existing(self, model: str, versions: Iterable[int]) -> list[int]:
        """Those of some versions of a model that exist, ascending, without a list of all that there are."""
        return sorted(version for version in set(versions) if self._has(_checked(model), version))

    def aliases(self, model: str) -> dict[str, int]:
        """Aliases of a model and the versions they stand for."""
        return Aliases(self._storage, _checked(model)).read()

    def changes(self, model: str) -> list[Change]:
        """Who changed the aliases of a model, when and why, oldest first. Raises UnknownModel."""
        self.versions(model)
        return Aliases(self._storage, model).changes()

    def has_champion(self, model: str) -> bool:
        """Whether the model has a champion: the version that answers when none is named."""
        champion = self.aliases(model).get(CHAMPION)
        return champion is not None and self._has(model, champion)

    def resolve(self, model: str, version: int | str) -> int:
        """The number of a version that is named by a number or an alias.

        Raises UnknownModel, UnknownVersion, and StoreError for a number above VERSION_LIMIT.
        """
        return self._resolve(model, version, self.aliases(model))

    def refused(self, model: str) -> set[int]:
        """Versions that did not pass the gate, by its decisions beside them (`retrain`)."""
        return self._decisions.refused(_checked(model))

    def keep_decision(self, model: str, version: int, report: bytes) -> None:
        """Writes the gate's report, JSON, on a version beside it."""
        self._decisions.keep(_checked(model), version, report)

    def card(self, model: str, version: int | str) -> Card:
        """The card of a version. Raises CorruptVersion when it differs from the manifest."""
        key = f"{model}/{self.resolve(model, version)}"
        content = manifest.read_verified(self._storage, key, CARD, CARD_LIMIT_BYTES)
        return _decoded(content, self._storage.address(f"{key}/{CARD}"))

    def verify(self, model: str, version: int | str) -> None:
        """Compares every file of a version with the manifest. Raises CorruptVersion naming the file."""
        with self._storage.open_version(model, self.resolve(model, version)):
            pass

    def size_bytes(self, model: str, version: int | str) -> int:
        """The size of a version's files in bytes."""
        return self._storage.size_bytes(model, self.resolve(model, version))

    def load(self, model: str, version: int | str) -> tuple[Card, Params]:
        """Card and weights of a version, every file compared with the manifest. Raises CorruptVersion."""
        import jax
        import numpy as np
        from orbax.checkpoint import v1 as ocp  # JAX is slow to import, and listing a store needs none

        from training.network.convolution import inference_form
        from training.network.layers import count_features
        from training.network.module import abstract_params
        from training.uncertainty.novelty import READ

        number = self.resolve(model, version)
        address = self._storage.address(f"{model}/{number}")
        with self._storage.open_version(model, number) as folder:
            content = manifest.content(folder / CARD, CARD_LIMIT_BYTES, f"{address}/{CARD}")
            card = _decoded(content, f"{address}/{CARD}")
            wanted, stored = abstract_params(card.layers, inference_form()), ocp.metadata(folder / PARAMS).metadata
            if _shapes(stored) != _shapes(wanted):  # Orbax would fail half-way and leave its files open
                raise CorruptVersion(
                    f"{address}/{PARAMS} does not hold the weights of the card's layers: "
                    f"found {_shapes(stored)}, want {_shapes(wanted)}"
                )
            rows = len(card.trust.novelty.detector.head) if card.trust else 0
            if rows and rows != (fitting := count_features(card.layers) + READ + 2):
                raise CorruptVersion(f"{address}/{CARD} has a head of {rows} rows, want {fitting} for its layers")
            # NumPy arrays belong to no device, so that each of several processes can load them for itself
            arrays = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), wanted)
            return card, ocp.load(folder / PARAMS, arrays)

    def publish(self, card: Card, params: Params) -> int:
        """Adds a version and returns its number; the first version of a model becomes its champion.

        Several processes may publish at once: each gets a version of its own.
        """
        from training.distributed import checkpoint

        encoded = msgspec.json.encode(card)
        try:
            msgspec.json.decode(encoded, type=type(card))  # NaN and infinity would come back as null
        except msgspec.ValidationError as error:
            raise StoreError(f"the card of {card.model} could not be read back: {error}") from None
        if len(content := msgspec.json.format(encoded)) > CARD_LIMIT_BYTES:
            raise StoreError(f"the card of {card.model} has {len(content):,} bytes, want at most {CARD_LIMIT_BYTES:,}")
        with self._storage.staging(_checked(card.model)) as staged:
            checkpoint.save(staged / PARAMS, params)
            (staged / CARD).write_bytes(content)
            (staged / HISTORY).write_bytes(msgspec.json.Encoder().encode_lines(card.history))
            manifest.write(staged)
            version = self._add(card.model, staged)

        def crown(aliases: dict[str, int]) -> int:
            champion = aliases.get(CHAMPION)
            if champion is None or not self._has(card.model, champion):
                aliases[CHAMPION] = version
            return version

        return Aliases(self._storage, card.model).change(CHAMPION, FIRST, crown)

    def promote(self, model: str, version: int | str, *, why: str = "", instead_of: int | None = None) -> int:
        """Makes a version the champion, and the champion until now the previous one.

        Raises AliasMoved when the champion is another one than `instead_of`, if that is given.
        """

        def crown(aliases: dict[str, int]) -> int:
            number, champion = self._present(model, version, aliases), aliases.get(CHAMPION)
            if instead_of not in (None, champion):
                raise AliasMoved(f"the champion of {model} is version {champion} by now, want {instead_of}")
            if number != champion:
                if champion is not None:
                    aliases[PREVIOUS] = champion
                aliases[CHAMPION] = number
                if aliases.get(CHALLENGER) == number:
                    del aliases[CHALLENGER]
            return number

        self.versions(model)
        return Aliases(self._storage, model).change(CHAMPION, why, crown)

    def rollback(self, model: str, *, why: str = "") -> int:
        """Makes the previous champion the champion again. Raises StoreError without one.

        Afterwards there is no previous champion: of two rollbacks at once, the second must not undo the first.
        """

        def crown(aliases: dict[str, int]) -> int:
            if PREVIOUS not in aliases:
                raise StoreError(f"{model} has no previous champion to go back to{self._last_change(model)}")
            number = aliases[CHAMPION] = self._resolve(model, PREVIOUS, aliases)
            del aliases[PREVIOUS]
            return number

        self.versions(model)
        return Aliases(self._storage, model).change(CHAMPION, why, crown)

    def challenge(self, model: str, version: int | str, *, why: str = "") -> int:
        """Makes a version the challenger, which a service compares with the champion by a canary or in shadow."""

        def name(aliases: dict[str, int]) -> int:
            number = aliases[CHALLENGER] = self._present(model, version, aliases)
            return number

        self.versions(model)
        return Aliases(self._storage, model).change(CHALLENGER, why, name)

    def prune(self, model: str, keep: int, *, dry_run: bool = False) -> list[int]:
        """Removes the versions of a model that have no alias, without the `keep` newest ones; returns their numbers.

        The newest one always stays, because a number is never used again. Decisions of the gate stay, too. With
        `dry_run` nothing is removed. Raises UnknownModel, and StoreError unless `keep` is at least 1.
        """
        if keep < 1:
            raise StoreError(f"{keep} versions would be kept, want at least 1: its number must not be used again")
        aliases = Aliases(self._storage, _checked(model))
        old = [version for version in self.versions(model)[:-keep] if version not in aliases.read().values()]
        if dry_run:
            return old
        removed = []
        for version in old:
            with self._storage.changing(model):
                if self._storage.remove_version(model, version, lambda: version not in aliases.touch().values()):  # noqa: B023 - called at once
                    removed.append(version)
        return removed

    def _resolve(self, model: str, version: int | str, aliases: dict[str, int]) -> int:
        given = str(version)
        number = int(given) if VERSION.fullmatch(given) else aliases.get(given)
        if number is not None and self._has(model, number):
            if number > VERSION_LIMIT:
                address = self._storage.address(f"{model}/{number}")
                raise StoreError(f"{address} has the number {number}, want at most {VERSION_LIMIT}")
            return number
        known = ", ".join([*map(str, self.versions(model)), *(f"{name} -> {of}" for name, of in aliases.items())])
        known += did_you_mean(given, aliases)
        raise UnknownVersion(f"there is no version {given!r} of {model} in the store {self.location}; it holds {known}")

    def _present(self, model: str, version: int | str, aliases: dict[str, int]) -> int:
        """As `_resolve`, for a version that is to get an alias: `prune` may have removed it a moment ago."""
        number = self._resolve(model, version, aliases)
        if number not in self._storage.versions(model):
            raise UnknownVersion(f"version {number} of {model} has been removed")
        return number

    def _has(self, model: str, version: int) -> bool:
        return bool(VERSION.fullmatch(str(version))) and self._storage.has_version(model, version)

    def _last_change(self, model: str) -> str:
        champions = [change for change in Aliases(self._storage, model).changes() if change.alias == CHAMPION]
        if not champions:
            return ""
        last = champions[-1]
        return f": version {last.after} is the champion since {last.when:%Y-%m-%d %H:%M:%S} UTC, by {last.by}"

    def _add(self, model: str, staged: Path) -> int:
        """Adds a finished version under the next free number."""
        taken = [*self._storage.taken(model), *self.aliases(model).values()]
        version = max([0, *(number for number in taken if number <= VERSION_LIMIT)]) + 1
        while True:
            if version > VERSION_LIMIT:
                raise StoreError(
                    f"{self._storage.address(model)} has the version {VERSION_LIMIT}, the last one: want another name "
                    "of the model"
                )
            if self._storage.add_version(model, version, staged):
                return version
            version += 1


def _checked(model: str) -> str:
    """The name of a model. Raises UnknownModel for a name that no model can have."""
    if not _NAME.fullmatch(model):
        hint = "; a version is named apart from its model" if ":" in model else ""
        raise UnknownModel(f"{model!r} is no model name: want lower-case letters, digits, - and _, at most 64{hint}")
    return model


def _shapes(params: dict[str, dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    return {f"{layer}.{name}": tuple(leaf.shape) for layer, of in params.items() for name, leaf in of.items()}


def _decoded(card: bytes, address: str) -> Card:
    from training.store.card import FORMAT, Card

    try:
        return msgspec.json.decode(card, type=Card)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{address} is not a card of format {FORMAT}: {error}") from None
