"""OpenAPI descriptions of bodies in one of several forms, path parameters, and the X-Timeout-Ms header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from service.http.timeout import HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

TIMEOUT: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "An answer after so many milliseconds is of no use; 504 is the answer then",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


def path_parameters(
    path: str, texts: Mapping[str, str], patterns: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """OpenAPI parameters of a path template: each name in braces, its description, and its pattern if there is one."""
    patterns = patterns or {}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": texts[name],
            "schema": {"type": "string", **({"pattern": patterns[name]} if name in patterns else {})},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def one_of(*forms: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI schema of a body that has one of several forms."""
    return {"oneOf": [form.model_json_schema(ref_template="#/components/schemas/{model}") for form in forms]}
