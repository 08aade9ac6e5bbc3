"""OpenAPI descriptions: bodies in one of several forms, path parameters, the X-Timeout-Ms header, required keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from service.http.error_responses import FOREIGN
from service.http.error_schemas import error_answers, plain_error_answers
from service.http.media_types import JSON
from service.http.timeout import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def document_keys(document: dict[str, Any], scheme: str, needs_key: Callable[[str], bool | None]) -> None:
    """Adds to an OpenAPI document which operations need a key, and their answers 401 and 403.

    `scheme` is the name of the bearer scheme in the document. `needs_key` says it of a path; None means that some
    requests need one.
    """
    for path, operations in document["paths"].items():
        needed = needs_key(path)
        if needed is False:
            continue
        answers = plain_error_answers(401, 403) if FOREIGN.match(path) else error_answers(401, 403)
        for operation in operations.values():
            operation.setdefault("security", [{scheme: []}] if needed else [{}, {scheme: []}])
            for status, answer in answers.items():
                schema = {"$ref": f"#/components/schemas/{answer['model'].__name__}"}
                content = {JSON: {"schema": schema}}
                operation["responses"].setdefault(
                    str(status), {"description": answer["description"], "content": content}
                )
