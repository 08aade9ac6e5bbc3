"""What the OpenAPI page says about errors under `/v1` and `/v2`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from service.protocols.native.schemas import error_answers


class PlainError(BaseModel):
    """The body of every answer of status 4xx or 5xx."""

    error: str = Field(description="What was found and what is wanted")


MEANINGS = {
    400: "The body can't be read, or a value is not what it has to be",
    409: "A version could not be loaded, or a model can't be unloaded; what ran before goes on",
}


def plain_error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What is said of the errors of a path, by status."""
    known = error_answers(*statuses)
    return {
        status: {
            **known[status],
            "model": PlainError,
            "description": MEANINGS.get(status, known[status]["description"].partition(". Codes:")[0]),
        }
        for status in statuses
    }
