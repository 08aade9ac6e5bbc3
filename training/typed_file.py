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
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
    try:
        content = decode(path.read_bytes())
        return msgspec.convert(content, kind)
    except FileNotFoundError:
        raise error(f"{path} does not exist") from None
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}") from None
    except msgspec.ValidationError as problem:
        raise error(f"{path}: {wrong_value(problem, content, kind)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise error(f"{path}: {problem}") from None
