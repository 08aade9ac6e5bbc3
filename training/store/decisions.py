"""Decisions of the gate, a file for each version: `<store>/<model>/decisions/<version>.json`.

They are beside the versions, because a version never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from training.store.manifest import StoreError, UnreadableFile

if TYPE_CHECKING:
    from training.store.storage import Storage

FOLDER: Final = "decisions"


class _Decision(msgspec.Struct):
    passed: bool


class _Report(msgspec.Struct):
    """The part of `retrain.Report` that is read again."""

    decision: _Decision


class Decisions:
    """The decisions on the versions of all models in a storage. A decision is read again when its file has changed."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._passed: dict[tuple[str, str], bool] = {}
        """By the key of the file and its tag."""

    def keep(self, model: str, version: int, report: bytes) -> None:
        """Writes the report, JSON, on a version. Raises StoreError when another process writes it, too."""
        key = f"{model}/{FOLDER}/{version}.json"
        before = self._storage.read(key)
        if not self._storage.replace(key, report, before.tag if before else None):
            raise StoreError(f"{self._storage.address(key)} was written by another process at the same time")

    def refused(self, model: str) -> set[int]:
        """The versions of a model that did not pass; a version with an unreadable report did not pass."""
        files = {
            int(version): (f"{model}/{FOLDER}/{name}", tag)
            for name, tag in self._storage.files(f"{model}/{FOLDER}").items()
            if (version := name.removesuffix(".json")) != name and version.isdecimal()
        }
        for file in files.values():
            if file not in self._passed:
                self._passed[file] = self._read(file[0])
        return {version for version, file in files.items() if not self._passed[file]}

    def _read(self, key: str) -> bool:
        try:
            report = self._storage.read(key)
            return report is not None and msgspec.json.decode(report.data, type=_Report).decision.passed
        except (UnreadableFile, msgspec.DecodeError, UnicodeDecodeError):
            return False
