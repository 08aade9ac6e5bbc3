"""Which versions are loaded, found by name and number or alias; and how some take the place of others."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from service.errors import NotReady, UnknownModel, UnknownVersion
from service.protocols.decode import shortened
from training.store import CHALLENGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.models.loaded_version import LoadedVersion


class LoadedModel(NamedTuple):
    """What is loaded of a model, by number, and the store's aliases, those of versions that are not loaded included."""

    versions: Mapping[int, LoadedVersion]
    aliases: Mapping[str, int]
    default: LoadedVersion
    """The version that answers when none is named."""

    @property
    def challenger(self) -> LoadedVersion | None:
        """The version on trial, if one is loaded that is not the one that answers anyway."""
        challenger = self.versions.get(self.aliases.get(CHALLENGER, 0))
        return None if challenger is self.default else challenger

    def find(self, name: str) -> LoadedVersion | None:
        """The loaded version that has a number or an alias."""
        for number, live in self.versions.items():
            if self.aliases.get(name) == number or str(number) == name:
                return live
        return None

    def names(self, live: LoadedVersion) -> list[str]:
        """Aliases that stand for a version, sorted."""
        return sorted(alias for alias, number in self.aliases.items() if number == live.version)

    def title(self, live: LoadedVersion) -> str:
        """A version for people to read: `3 (champion)`."""
        names = self.names(live)
        return f"{live.version} ({', '.join(names)})" if names else f"{live.version}"


class ModelRegistry:
    """The loaded versions, by the names of their models. The first model is the one meant when a request names none."""

    def __init__(self, models: Mapping[str, LoadedModel]) -> None:
        self._models = dict(models)
        self._retiring: dict[LoadedVersion, asyncio.Task[None]] = {}
        self._draining_since_s: float | None = None
        self.default_model = next(iter(self._models))

    def resolve(self, model: str | None = None, version: str | None = None) -> LoadedVersion:
        """The version that a request means. Raises UnknownModel, UnknownVersion, which say what is loaded."""
        name = self.default_model if model is None else model
        loaded = self.model(name)
        live = loaded.default if version is None else loaded.find(version)
        if live is not None:
            return live
        given = version or ""
        found, titles = shortened(given), ", ".join(loaded.title(live) for live in loaded.versions.values())
        elsewhere = (
            f" is version {loaded.aliases[given]} of {name}, which" if given in loaded.aliases else f" of {name}"
        )
        raise UnknownVersion(
            "unknown_version",
            f"version {found!r}{elsewhere} is not loaded; loaded: {titles}",
            field="version",
            found=found,
            wanted=titles,
        )

    def model(self, name: str) -> LoadedModel:
        """What is loaded of a model. Raises UnknownModel, which says what is loaded."""
        if name in self._models:
            return self._models[name]
        found, loaded = shortened(name), ", ".join(self._models)
        raise UnknownModel(
            "unknown_model",
            f"model {found!r} is not loaded; loaded: {loaded}",
            field="model",
            found=found,
            wanted=loaded,
        )

    def models(self) -> dict[str, LoadedModel]:
        """All that is loaded, the default model first."""
        return dict(self._models)

    def versions(self) -> list[LoadedVersion]:
        """All versions that are loaded, the default model's first."""
        return [live for model in self._models.values() for live in model.versions.values()]

    def show(self, name: str, model: LoadedModel) -> list[LoadedVersion]:
        """From now on, this is what is loaded of a model; returns what was and is no more.

        That ends with its last request.
        """
        before = self._models[name].versions if name in self._models else {}
        self._models[name] = model
        gone = [live for live in before.values() if live not in model.versions.values()]
        for live in gone:
            self._retiring[live] = asyncio.create_task(self._retire(live))
        return gone

    async def _retire(self, live: LoadedVersion) -> None:
        await live.retire()
        del self._retiring[live]

    @property
    def alive(self) -> bool:
        """Whether every engine has its thread; one that lost it answers nothing any more."""
        return all(live.batcher.alive for live in self.versions())

    def check_ready(self) -> None:
        """Raises NotReady while draining and when an engine has stopped."""
        if self.draining:
            raise NotReady("draining", "the service is shutting down")
        if not self.alive:
            raise NotReady("engine_stopped", "the engine of a model has stopped")

    @property
    def draining(self) -> bool:
        """Whether the service has been told to stop."""
        return self._draining_since_s is not None

    def drain(self) -> None:
        """Makes readiness fail, so that nobody sends anything new. Requests are still answered."""
        if self._draining_since_s is None:
            self._draining_since_s = time.monotonic()

    async def close(self, timeout_s: float | None = None) -> None:
        """Refuses new requests, finishes the accepted ones, ends the engines; the timeout runs from `drain` on."""
        self.drain()
        if timeout_s is not None and self._draining_since_s is not None:
            timeout_s = max(0.0, timeout_s - (time.monotonic() - self._draining_since_s))
        await asyncio.gather(*(live.batcher.close(timeout_s) for live in [*self.versions(), *self._retiring]))
