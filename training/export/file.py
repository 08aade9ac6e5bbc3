"""The file of an exported version: built, proven by the golden pictures, and written whole or not at all."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

from training.data.replacing import replacing
from training.export.outputs import metadata, prove

if TYPE_CHECKING:
    from pathlib import Path

    from training.store import Store

Form = Literal["stablehlo", "onnx"]
"""The format, and the module of this room that builds it."""


def export(store: Store, model: str, version: int | str, form: Form, out: Path) -> int:
    """Writes a version of a model as one file, and returns the version's number.

    Raises UnknownModel, UnknownVersion, CorruptVersion; ImportError where a package of the extra `export` is missing;
    ExportError when the file does not answer the golden pictures as the version did when it was published: then nothing
    is written; and DataError when the file cannot be written.
    """
    number = store.resolve(model, version)
    of_form = import_module(f"training.export.{form}")
    card, params = store.load(model, number)
    content = of_form.build(card, params, metadata(model, number, card))
    prove(card, of_form.run(content, card.golden.images))
    with replacing(out) as aside:
        aside.write_bytes(content)
    return number
