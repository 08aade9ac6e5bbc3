"""The checkpoint store (a model registry on disk): immutable versions, and aliases that name the live one.

    <store>/<model>/<version>/        params/ (Orbax), card.json, history.jsonl (a row an epoch), manifest.json
    <store>/<model>/aliases.json      champion, previous, challenger -> version; changes.jsonl logs who changed them
    <store>/<model>/decisions/        the gate's decisions on versions

A version appears whole or not at all: it is written aside, flushed, and renamed into place.
"""

from __future__ import annotations

import re
import uuid
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from etils import epath

from training.filesystem import file_size_bytes, flush, flush_tree, is_mounted, locked
from training.store import decisions, manifest
from training.store.aliases import CHALLENGER, CHAMPION, FIRST, PREVIOUS, Aliases, AliasMoved
from training.store.manifest import CorruptVersion, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.network.module import Params
    from training.store.aliases import Change
    from training.store.card import Card

CARD, HISTORY, PARAMS = "card.json", "history.jsonl", "params"
NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
_NAME = re.compile(NAME)
VERSION_LIMIT: Final = 2**31 - 1
"""The largest version: databases of corrections, memories of predictions and clients keep versions in 32 bits."""
CARD_LIMIT_BYTES: Final = 8 * 2**20
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
        return Aliases(self._folder(model)).read()

    def changes(self, model: str) -> list[Change]:
        """Who changed the aliases of a model, when and why, oldest first. Raises UnknownModel."""
        self.versions(model)
        return Aliases(self._folder(model)).changes()

    def has_champion(self, model: str) -> bool:
        """Whether the model has a champion: the version that answers when none is named."""
        return self.aliases(model).get(CHAMPION) in _versions(self._folder(model))

    def resolve(self, model: str, version: int | str) -> int:
        """The number of a version given as a number or an alias.

        Raises UnknownModel, UnknownVersion, and StoreError for a number above VERSION_LIMIT.
        """
        versions, aliases = self.versions(model), self.aliases(model)
        given = str(version)
        number = int(given) if _VERSION.fullmatch(given) else aliases.get(given)
        if number in versions:
            if number > VERSION_LIMIT:
                raise StoreError(
                    f"{self._folder(model) / str(number)} has the number {number}, want at most {VERSION_LIMIT}"
                )
            return number
        known = ", ".join([*map(str, versions), *(f"{name} -> {of}" for name, of in aliases.items())])
        raise UnknownVersion(f"there is no version {given!r} of {model} in the store {self.path}; it holds {known}")

    def refused(self, model: str) -> set[int]:
        """Versions that did not pass the gate, by its decisions beside them (`retrain`)."""
        return decisions.refused(self._folder(model))

    def card(self, model: str, version: int | str) -> Card:
        """The card of a version. Raises CorruptVersion when it differs from the manifest."""
        return _read_card(self._version(model, version))

    def verify(self, model: str, version: int | str) -> None:
        """Compares every file of a version with the manifest. Raises CorruptVersion naming the file."""
        manifest.verify(self._version(model, version))

    def size_bytes(self, model: str, version: int | str) -> int:
        """The size of a version's files in bytes."""
        folder = self._version(model, version)
        return sum(file_size_bytes(folder / name) for name in manifest.files(folder))

    def load(self, model: str, version: int | str) -> tuple[Card, Params]:
        """Card and weights of a version, every file compared with the manifest. Raises CorruptVersion."""
        import jax
        import numpy as np
        from orbax.checkpoint import v1 as ocp  # JAX is slow to import, and listing a store needs none

        from training.network.convolution import inference_form
        from training.network.layers import count_features
        from training.network.module import abstract_params
        from training.uncertainty.novelty import READ

        folder = self._version(model, version)
        manifest.verify(folder)
        card = _read_card(folder)
        wanted, stored = abstract_params(card.layers, inference_form()), ocp.metadata(folder / PARAMS).metadata
        if _shapes(stored) != _shapes(wanted):  # Orbax would fail half-way and leave its files open
            raise CorruptVersion(
                f"{folder / PARAMS} does not hold the weights of the card's layers: "
                f"found {_shapes(stored)}, want {_shapes(wanted)}"
            )
        rows = len(card.trust.novelty.detector.head) if card.trust else 0
        if rows and rows != (fitting := count_features(card.layers) + READ + 2):
            raise CorruptVersion(f"{folder / CARD} has a head of {rows} rows, want {fitting} for its layers")
        # NumPy arrays belong to no device, so that each of several processes can load them for itself
        return card, ocp.load(folder / PARAMS, jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), wanted))

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
        folder = self._folder(card.model)
        folder.mkdir(parents=True, exist_ok=True)
        with _aside(folder) as aside:
            checkpoint.save(aside / PARAMS, params)
            (aside / CARD).write_bytes(content)
            (aside / HISTORY).write_bytes(msgspec.json.Encoder().encode_lines(card.history))
            manifest.write(aside)
            flush_tree(aside)
            version = self._claim(card.model, aside)
        with Aliases(folder).changing(CHAMPION, FIRST) as aliases:
            if aliases.get(CHAMPION) not in _versions(folder):
                aliases[CHAMPION] = version
        return version

    def promote(self, model: str, version: int | str, *, why: str = "", instead_of: int | None = None) -> int:
        """Makes a version the champion, and the champion until now the previous one.

        Raises AliasMoved when the champion is another one than `instead_of`, if that is given.
        """
        self.versions(model)
        with Aliases(self._folder(model)).changing(CHAMPION, why) as aliases:
            number, champion = self.resolve(model, version), aliases.get(CHAMPION)
            if instead_of not in (None, champion):
                raise AliasMoved(f"the champion of {model} is version {champion} by now, want {instead_of}")
            if number != champion:
                if champion is not None:
                    aliases[PREVIOUS] = champion
                aliases[CHAMPION] = number
                if aliases.get(CHALLENGER) == number:
                    del aliases[CHALLENGER]
        return number

    def rollback(self, model: str, *, why: str = "") -> int:
        """Makes the previous champion the champion again. Raises StoreError without one.

        Afterwards there is no previous champion: of two rollbacks at once, the second must not undo the first.
        """
        self.versions(model)
        with Aliases(self._folder(model)).changing(CHAMPION, why) as aliases:
            if PREVIOUS not in aliases:
                raise StoreError(f"{model} has no previous champion to go back to{self._last_change(model)}")
            number = aliases[CHAMPION] = self.resolve(model, PREVIOUS)
            del aliases[PREVIOUS]
        return number

    def challenge(self, model: str, version: int | str, *, why: str = "") -> int:
        """Makes a version the challenger, which a service compares with the champion by a canary or in shadow."""
        self.versions(model)
        with Aliases(self._folder(model)).changing(CHALLENGER, why) as aliases:
            number = aliases[CHALLENGER] = self.resolve(model, version)
        return number

    def _last_change(self, model: str) -> str:
        champions = [change for change in Aliases(self._folder(model)).changes() if change.alias == CHAMPION]
        if not champions:
            return ""
        last = champions[-1]
        return f": version {last.after} is the champion since {last.when:%Y-%m-%d %H:%M:%S} UTC, by {last.by}"

    def _folder(self, model: str) -> epath.Path:
        if not _NAME.fullmatch(model):
            raise UnknownModel(f"{model!r} is no model name: want lower-case letters, digits, - and _, at most 64")
        return self.path / model

    def _version(self, model: str, version: int | str) -> epath.Path:
        return self._folder(model) / str(self.resolve(model, version))

    def _claim(self, model: str, aside: epath.Path) -> int:
        """Renames a finished version to the next free number."""
        folder = self._folder(model)
        taken = [*_versions(folder), *self.aliases(model).values()]
        version = max([0, *(number for number in taken if number <= VERSION_LIMIT)]) + 1
        while True:
            if version > VERSION_LIMIT:
                raise StoreError(
                    f"{folder} has the version {VERSION_LIMIT}, the last one: want another name of the model"
                )
            target = folder / str(version)
            try:
                aside.rename(target)  # the file system refuses it where another writer's version is
            except OSError:
                if not target.exists():
                    raise
                version += 1
            else:
                flush(folder)
                return version


@contextmanager
def _aside(folder: epath.Path) -> Iterator[epath.Path]:
    """A hidden folder to write a version in, removed afterwards unless renamed; folders of dead writers are removed."""
    with ExitStack() as held:
        with locked(folder):  # or another writer could take the new folder for a dead writer's before it is locked
            for child in folder.glob(".new-*"):
                # its writer may rename it at this moment
                with suppress(FileNotFoundError), locked(child, wait=False) as dead:
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
    from training.store.card import FORMAT, Card

    try:
        return msgspec.json.decode(manifest.read_verified(folder, CARD, CARD_LIMIT_BYTES), type=Card)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{folder / CARD} is not a card of format {FORMAT}: {error}") from None
