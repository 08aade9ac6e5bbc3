"""The model registry: loaded versions by model, number and alias, and how versions are swapped."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from service.errors import ModelNotLoaded, NotReady, VersionNotLoaded, shortened
from training.store import CHALLENGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.models.loaded_version import LoadedVersion


class LoadedModel(NamedTuple):
    """The loaded versions of a model by number, and all aliases in the store, also of versions that are not loaded."""

    versions: Mapping[int, LoadedVersion]
    aliases: Mapping[str, int]
    default: LoadedVersion
    """The version that answers requests without a version."""

    @property
    def challenger(self) -> LoadedVersion | None:
        """The version with the alias `challenger`, if it is loaded and not the default."""
        challenger = self.versions.get(self.aliases.get(CHALLENGER, 0))
        return None if challenger is self.default else challenger

    def find(self, name: str) -> LoadedVersion | None:
        """The loaded version with a number or an alias."""
        for number, version in self.versions.items():
            if self.aliases.get(name) == number or str(number) == name:
                return version
        return None

    def names(self, version: LoadedVersion) -> list[str]:
        """The aliases of a version, sorted."""
        return sorted(alias for alias, number in self.aliases.items() if number == version.version)

    def title(self, version: LoadedVersion) -> str:
        """A version for people to read: `3 (champion)`."""
        names = self.names(version)
        return f"{version.version} ({', '.join(names)})" if names else f"{version.version}"

    def role(self, version: LoadedVersion) -> str:
        """The label of a version in metrics: default, challenger or other."""
        if version is self.default:
            return "default"
        return "challenger" if version is self.challenger else "other"


class ModelRegistry:
    """The loaded models by name; the first one is the default model. Empty until the first `swap`.

    Not thread-safe: one event loop only.
    """

    def __init__(self, models: Mapping[str, LoadedModel] | None = None) -> None:
        self._models = dict(models or {})
        self._retiring: dict[LoadedVersion, asyncio.Task[None]] = {}
        self._draining_since_s: float | None = None

    @property
    def loaded(self) -> bool:
        """Whether any model is loaded."""
        return bool(self._models)

    @property
    def default_model(self) -> str:
        """Name of the model for requests without a model. Raises NotReady before a model is loaded."""
        for name in self._models:
            return name
        raise NotReady("loading", "the service is loading its model")

    def resolve(self, model: str | None = None, version: str | None = None) -> LoadedVersion:
        """The version for a request, by model and by number or alias; None means the default.

        Raises ModelNotLoaded, VersionNotLoaded, and NotReady before a model is loaded.
        """
        name = self.default_model if model is None else model
        loaded = self.model(name)
        found_version = loaded.default if version is None else loaded.find(version)
        if found_version is not None:
            return found_version
        given = version or ""
        found, titles = shortened(given), ", ".join(loaded.title(each) for each in loaded.versions.values())
        elsewhere = (
            f" is version {loaded.aliases[given]} of {name}, which" if given in loaded.aliases else f" of {name}"
        )
        raise VersionNotLoaded(
            "unknown_version",
            f"version {found!r}{elsewhere} is not loaded; loaded: {titles}",
            field="version",
            found=found,
            wanted=titles,
        )

    def model(self, name: str) -> LoadedModel:
        """A loaded model by name. Raises ModelNotLoaded, and NotReady before a model is loaded."""
        if name in self._models:
            return self._models[name]
        self.check_loaded()
        found, loaded = shortened(name), ", ".join(self._models)
        raise ModelNotLoaded(
            "unknown_model",
            f"model {found!r} is not loaded; loaded: {loaded}",
            field="model",
            found=found,
            wanted=loaded,
        )

    def models(self) -> dict[str, LoadedModel]:
        """All loaded models, the default model first."""
        return dict(self._models)

    def versions(self) -> list[LoadedVersion]:
        """All loaded versions, the versions of the default model first."""
        return [version for model in self._models.values() for version in model.versions.values()]

    def swap(self, name: str, model: LoadedModel) -> list[LoadedVersion]:
        """Replaces the loaded model of a name. Retires and returns the versions that `model` lacks.

        A retired version answers its requests in flight and is then closed.
        """
        before = self._models[name].versions if name in self._models else {}
        self._models[name] = model
        retired = [version for version in before.values() if version not in model.versions.values()]
        for version in retired:
            self._retiring[version] = asyncio.create_task(self._retire(version))
        return retired

    async def _retire(self, version: LoadedVersion) -> None:
        await version.retire()
        del self._retiring[version]

    @property
    def alive(self) -> bool:
        """Whether the engine of every version is alive; only a restart helps otherwise."""
        return all(version.batcher.alive for version in self.versions())

    def check_loaded(self) -> None:
        """Raises NotReady before a model is loaded."""
        if not self._models:
            raise NotReady("loading", "the service is loading its model")

    def check_ready(self) -> None:
        """Raises NotReady before a model is loaded, while the service drains, and when an engine has stopped."""
        self.check_loaded()
        if self.draining:
            raise NotReady("draining", "the service is shutting down")
        if not self.alive:
            raise NotReady("engine_stopped", "the engine of a model has stopped")

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining_since_s is not None

    def drain(self) -> None:
        """Starts the drain: readiness fails, and requests are still answered."""
        if self._draining_since_s is None:
            self._draining_since_s = time.monotonic()

    async def close(self, timeout_s: float | None = None) -> None:
        """Closes all engines: new requests are refused, accepted ones finish. `timeout_s` counts from `drain`."""
        self.drain()
        if timeout_s is not None and self._draining_since_s is not None:
            timeout_s = max(0.0, timeout_s - (time.monotonic() - self._draining_since_s))
        await asyncio.gather(*(version.batcher.close(timeout_s) for version in [*self.versions(), *self._retiring]))
