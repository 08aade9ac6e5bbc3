"""TOML and JSON files that a user writes, decoded and validated into a typed structure."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from training.wrong_value import wrong_value

T = TypeVar("T")


def read_typed(path: str | Path, kind: type[T], *, noun: str, error: type[Exception]) -> T:
    """The content of a .toml or .json file as a `kind`. Raises `error` naming the file and the place inside it."""
    path = Path(path)
    if path.suffix not in {".toml", ".json"}:
        raise error(f"{path} is no {noun}: want a .toml or a .json file")
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors of Windows put a byte order mark first
    except FileNotFoundError:
        raise error(f"{path} does not exist") from None
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        found = f"byte 0x{problem.object[problem.start]:02x} at offset {problem.start}"
        raise error(f"{path}: is no text in UTF-8: {found}") from None
    form = path.suffix[1:].upper()
    try:
        content = msgspec.toml.decode(text) if form == "TOML" else msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise error(f"{path}: is not valid {form}: {_reason(problem, text)}") from None
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as problem:
        raise error(f"{path}: {wrong_value(problem, content, kind)}") from None


def _reason(problem: Exception, text: str) -> str:
    if isinstance(problem, RecursionError):
        return "it is nested too deeply"
    return str(problem).partition(" - at `")[0].removeprefix("JSON is malformed: ") if text.strip() else "it is empty"
