"""OpenAPI descriptions: bodies in one of several forms, path parameters, the X-Timeout-Ms header, required keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from service.http.error_responses import FOREIGN
from service.http.error_schemas import error_answers, plain_error_answers
from service.http.media_types import JSON
from service.http.timeout import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

SCHEMAS: Final = "#/components/schemas/{model}"
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


def reference(form: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI schema of a body, by its name; `add_schemas` adds it to the document."""
    return {"$ref": SCHEMAS.format(model=form.__name__)}


def one_of(*forms: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI schema of a body that has one of several forms, by their names."""
    return {"oneOf": [reference(form) for form in forms]}


def add_schemas(document: dict[str, Any], forms: Iterable[type[BaseModel]]) -> None:
    """Adds the schemas of bodies that are read without FastAPI, and all that they refer to, to an OpenAPI document.

    Raises ValueError for a schema with the name of another one.
    """
    _, found = models_json_schema([(form, "validation") for form in forms], ref_template=SCHEMAS)
    schemas = document["components"]["schemas"]
    for name, schema in found["$defs"].items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"the OpenAPI document has two schemas {name}")
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def drop_defaults(document: dict[str, Any]) -> None:
    """Removes the defaults of the properties of all schemas of an OpenAPI document.

    Generators such as openapi-typescript make a required property of one with a default: descriptions say what is there
    without it.
    """
    for schema in document["components"]["schemas"].values():
        for prop in schema.get("properties", {}).values():
            prop.pop("default", None)


def add_examples(document: dict[str, Any], examples: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds examples of successful answers in JSON, by operation id; FastAPI would drop what is null in them."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if operation["operationId"] in examples:
                operation["responses"]["200"]["content"][JSON]["examples"] = examples[operation["operationId"]]


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
