"""The checkpoint store: immutable versions of models, and aliases that say which is live.

    <store>/<model>/<version>/        params/ (Orbax), card.json, history.jsonl (a row an epoch), manifest.json
    <store>/<model>/aliases.json      champion, previous, challenger -> version

A version appears whole or not at all: it is written aside, flushed, and renamed into place.
"""

from __future__ import annotations

import re
import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from etils import epath

from training import manifest
from training.durable import flush, flush_tree, is_mounted, locked, replace_file
from training.manifest import CorruptVersion, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.card import Card
    from training.network import Params

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
CARD, HISTORY, PARAMS, ALIASES = "card.json", "history.jsonl", "params", "aliases.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]*")


class UnknownModel(StoreError, LookupError):
    """No such model in the store."""


class UnknownVersion(StoreError, LookupError):
    """No such version or alias of a model."""


class Store:
    """A store at a path, which several machines may share. Nothing is kept in memory: each call reads what is there."""

    def __init__(self, path: str | epath.PathLike) -> None:
        self.path = epath.Path(path)
        if is_mounted(self.path):
            self.path = self.path.expanduser().absolute()  # Orbax refuses a relative path

    def models(self) -> list[str]:
        """Names of the models that have a version, sorted."""
        if not self.path.is_dir():
            return []
        return sorted(c.name for c in self.path.iterdir() if _NAME.fullmatch(c.name) and c.is_dir() and _versions(c))

    def versions(self, model: str) -> list[int]:
        """Versions of a model, ascending. Raises UnknownModel."""
        if not (versions := _versions(self._folder(model))):
            others = ", ".join(self.models()) or "no model at all"
            raise UnknownModel(f"there is no model {model!r} in the store {self.path}; it holds {others}")
        return versions

    def aliases(self, model: str) -> dict[str, int]:
        """Aliases of a model and the versions they stand for."""
        path = self._folder(model) / ALIASES
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} is damaged: {error}") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None

    def has_champion(self, model: str) -> bool:
        """Whether there is a version to answer with when none is named."""
        return self.aliases(model).get(CHAMPION) in _versions(self._folder(model))

    def resolve(self, model: str, version: int | str) -> int:
        """The number of a version given as a number or an alias. Raises UnknownModel, UnknownVersion."""
        versions, aliases = self.versions(model), self.aliases(model)
        given = str(version)
        number = int(given) if _VERSION.fullmatch(given) else aliases.get(given)
        if number in versions:
            return number
        known = ", ".join([*map(str, versions), *(f"{name} -> {of}" for name, of in aliases.items())])
        raise UnknownVersion(f"there is no version {given!r} of {model} in the store {self.path}; it holds {known}")

    def card(self, model: str, version: int | str) -> Card:
        """The card of a version. Raises CorruptVersion when it is not the card that was published."""
        return _read_card(self._version(model, version))

    def verify(self, model: str, version: int | str) -> None:
        """Compares every file of a version with the manifest. Raises CorruptVersion naming the file."""
        manifest.verify(self._version(model, version))

    def size_bytes(self, model: str, version: int | str) -> int:
        """How much room the files of a version take."""
        folder = self._version(model, version)
        return sum((folder / name).stat().length for name in manifest.files(folder))

    def load(self, model: str, version: int | str) -> tuple[Card, Params]:
        """Card and weights of a version, every file compared with the manifest. Raises CorruptVersion."""
        import jax
        import numpy as np
        from orbax.checkpoint import v1 as ocp  # JAX is slow to import, and listing a store needs none

        from training.convolution import inference_form
        from training.network import abstract_params

        folder = self._version(model, version)
        manifest.verify(folder)
        card = _read_card(folder)
        wanted, stored = abstract_params(card.layers, inference_form()), ocp.metadata(folder / PARAMS).metadata
        if _shapes(stored) != _shapes(wanted):  # Orbax would fail half-way, with its own files still open
            raise CorruptVersion(
                f"{folder / PARAMS} does not hold the weights of the card's layers: "
                f"found {_shapes(stored)}, want {_shapes(wanted)}"
            )
        # NumPy's arrays belong to no device, so that one of several processes can have them for itself
        return card, ocp.load(folder / PARAMS, jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), wanted))

    def publish(self, card: Card, params: Params) -> int:
        """Adds a version and returns its number; the first version of a model becomes its champion.

        Several processes may publish at once: each gets a version of its own.
        """
        from training import parallel

        encoded = msgspec.json.encode(card)
        try:
            msgspec.json.decode(encoded, type=type(card))  # numbers that JSON has no word for come back as null
        except msgspec.ValidationError as error:
            raise StoreError(f"the card of {card.model} could not be read back: {error}") from None
        folder = self._folder(card.model)
        folder.mkdir(parents=True, exist_ok=True)
        with _aside(folder) as aside:
            parallel.save(aside / PARAMS, params)
            (aside / CARD).write_bytes(msgspec.json.format(encoded))
            (aside / HISTORY).write_bytes(msgspec.json.Encoder().encode_lines(card.history))
            manifest.write(aside)
            flush_tree(aside)
            version = self._claim(card.model, aside)
        with locked(folder):
            aliases = self.aliases(card.model)
            if not self.has_champion(card.model):
                self._write_aliases(card.model, {**aliases, CHAMPION: version})
        return version

    def promote(self, model: str, version: int | str) -> int:
        """Makes a version the champion, and the champion until now the previous one."""
        with self._changing(model) as aliases:
            number = self.resolve(model, version)
            if number != aliases.get(CHAMPION):
                if CHAMPION in aliases:
                    aliases[PREVIOUS] = aliases[CHAMPION]
                aliases[CHAMPION] = number
        return number

    def rollback(self, model: str) -> int:
        """Makes the previous champion the champion again, and the other way round. Raises StoreError without one."""
        with self._changing(model) as aliases:
            if not {CHAMPION, PREVIOUS} <= aliases.keys():
                raise StoreError(f"{model} has no previous champion to go back to")
            number = self.resolve(model, PREVIOUS)
            aliases[CHAMPION], aliases[PREVIOUS] = number, aliases[CHAMPION]
        return number

    def _folder(self, model: str) -> epath.Path:
        if not _NAME.fullmatch(model):
            raise UnknownModel(f"{model!r} is no model name: want lower-case letters, digits, - and _, at most 64")
        return self.path / model

    def _version(self, model: str, version: int | str) -> epath.Path:
        return self._folder(model) / str(self.resolve(model, version))

    def _claim(self, model: str, aside: epath.Path) -> int:
        """Renames a finished version to the next free number."""
        folder = self._folder(model)
        version = max([0, *_versions(folder), *self.aliases(model).values()]) + 1
        while True:
            target = folder / str(version)
            try:
                aside.rename(target)  # refused by the file system where another writer's version stands
            except OSError:
                if not target.exists():
                    raise
                version += 1
            else:
                flush(folder)
                return version

    @contextmanager
    def _changing(self, model: str) -> Iterator[dict[str, int]]:
        """The aliases of a model to change in place, while nobody else changes them."""
        self.versions(model)
        with locked(self._folder(model)):
            before = self.aliases(model)
            aliases = dict(before)
            yield aliases
            if aliases != before:
                self._write_aliases(model, aliases)

    def _write_aliases(self, model: str, aliases: dict[str, int]) -> None:
        replace_file(self._folder(model) / ALIASES, msgspec.json.format(msgspec.json.encode(aliases)))


@contextmanager
def _aside(folder: epath.Path) -> Iterator[epath.Path]:
    """A hidden folder to write a version in; gone afterwards if it was not renamed, as is what dead writers left."""
    with ExitStack() as held:
        with locked(folder):  # so that nobody takes the new folder for a dead writer's before it is locked
            for child in folder.glob(".new-*"):
                with locked(child, wait=False) as dead:
                    if dead:
                        child.rmtree(missing_ok=True)
            aside = folder / f".new-{uuid.uuid4().hex}"
            aside.mkdir()
            held.enter_context(locked(aside))
        try:
            yield aside
        finally:
            if aside.exists():
                aside.rmtree(missing_ok=True)


def _versions(folder: epath.Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(c.name) for c in folder.iterdir() if _VERSION.fullmatch(c.name) and c.is_dir())


def _shapes(params: dict[str, dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    return {f"{layer}.{name}": tuple(leaf.shape) for layer, of in params.items() for name, leaf in of.items()}


def _read_card(folder: epath.Path) -> Card:
    from training.card import FORMAT, Card

    try:
        return msgspec.json.decode(manifest.read_verified(folder, CARD), type=Card)
    except msgspec.DecodeError as error:
        raise StoreError(f"{folder / CARD} is not a card of format {FORMAT}: {error}") from None
