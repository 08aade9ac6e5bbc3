"""Decisions of the gate, a file for each version: `<store>/<model>/decisions/<version>.json`.

They are beside the versions, because a version never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from training.filesystem import replace_file

if TYPE_CHECKING:
    from etils import epath

FOLDER: Final = "decisions"


class _Decision(msgspec.Struct):
    passed: bool


class _Report(msgspec.Struct):
    """The part of `retrain.Report` that is read again."""

    decision: _Decision


def keep(model: epath.Path, version: int, report: bytes) -> None:
    """Writes the report, JSON, on a version of the model in a folder."""
    (model / FOLDER).mkdir(parents=True, exist_ok=True)
    replace_file(model / FOLDER / f"{version}.json", report)


def refused(model: epath.Path) -> set[int]:
    """The versions of the model in a folder that did not pass; a version with an unreadable report did not pass."""
    if not (model / FOLDER).is_dir():
        return set()
    reports = {path.stem: path for path in (model / FOLDER).glob("*.json")}
    return {int(version) for version, path in reports.items() if version.isdecimal() and not _passed(path)}


def _passed(path: epath.Path) -> bool:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Report).decision.passed
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
