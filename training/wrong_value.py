"""What is wrong in a file that a user wrote: the place, what was found, the choices, and the nearest of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import inspect

from training.errors import did_you_mean

if TYPE_CHECKING:
    import msgspec

TYPES: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table of fields",
}
"""Types as msgspec names them, in words."""


class _Place(NamedTuple):
    """A place in a file: where it is, what was found there, and what may be there."""

    path: str
    found: Any
    kinds: list[inspect.Type]
    tags: list[Any]
    """The values of the field that chooses between kinds of tables; empty if the place is not such a field."""


def wrong_value(error: msgspec.ValidationError, content: Any, kind: Any) -> str:
    """The error of msgspec, about content that is no `kind`, in words: `layers[0].kind is 'convv', want one of …`."""
    text, _, path = str(error).partition(" - at `$")
    place = _find(path.rstrip("`"), content, kind)
    inside = f" in {place.path}" if place.path else ""
    if unknown := re.match(r"Object contains unknown field `(.*)`", text):
        fields = _fields(place)
        allowed = f"one of {_choices(unknown[1], fields)}" if fields else "none"
        return f"there is no field {unknown[1]}{inside}, want {allowed}"
    if missing := re.match(r"Object missing required field `(.*)`", text):
        return f"the field {missing[1]} is missing{inside}"
    if choices := place.tags or [
        value for of in place.kinds if isinstance(of, inspect.LiteralType) for value in of.values
    ]:
        return f"{place.path} is {place.found!r}, want one of {_choices(place.found, choices)}"
    if wanted := re.match(r"Expected `([\w| ]+)`( of length)?(?: ([<>]=?) ([^ ,]+))?", text):
        words = " or ".join(TYPES.get(of, of) for of in wanted[1].split(" | ") if of != "null")
        limit = f"{wanted[2] or ''} {wanted[3]} {float(wanted[4]):.15g}" if wanted[3] else ""
        found = "" if isinstance(place.found, Mapping | list) else f" is {place.found!r}"
        return f"{place.path or 'the content'}{found}, want {words}{limit}"
    return str(error)


def _find(path: str, content: Any, kind: Any) -> _Place:
    """The place at a path such as `.layers[0].kind`."""
    kinds, tags = _members(inspect.type_info(kind)), []
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if index:
            kinds = [one for of in kinds if isinstance(of, inspect.VarTupleType) for one in _members(of.item_type)]
            content = content[int(index)] if isinstance(content, Sequence) else None
            continue
        tables = [of for of in kinds if isinstance(of, inspect.StructType)]
        tags = [of.tag for of in tables if of.tag_field == name]
        chosen = content.get(tables[0].tag_field) if tables and isinstance(content, Mapping) else None
        kinds = [
            one
            for of in tables
            if of.tag == chosen
            for field in of.fields
            if field.encode_name == name
            for one in _members(field.type)
        ]
        content = content.get(name) if isinstance(content, Mapping) else None
    return _Place(path.removeprefix("."), content, kinds, tags)


def _members(kind: inspect.Type) -> list[inspect.Type]:
    return [*kind.types] if isinstance(kind, inspect.UnionType) else [kind]


def _fields(place: _Place) -> list[str]:
    """The fields that a table may have, by its tag if it has one."""
    tables = [of for of in place.kinds if isinstance(of, inspect.StructType)]
    tag = place.found.get(tables[0].tag_field) if tables and isinstance(place.found, Mapping) else None
    return [field.encode_name for of in tables if of.tag == tag for field in of.fields]


def _choices(found: object, choices: Sequence[object]) -> str:
    words = [str(choice) for choice in choices]
    return ", ".join(words) + did_you_mean(str(found), words)
