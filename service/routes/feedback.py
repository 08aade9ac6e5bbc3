"""`/feedback`: corrections of wrong predictions, for retraining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import orjson
from fastapi import APIRouter, Depends, Request, Response

from service.errors import WrongValue, shortened
from service.feedback.rate_limit import client_of_address
from service.feedback.request import KEY, KEY_HEADER, NamedPrediction, client_key, decode_correction
from service.feedback.schemas import (
    CorrectionsPage,
    DeletedCorrection,
    KeptCorrection,
    PictureCorrection,
    PredictionCorrection,
)
from service.http.body import read_body
from service.http.error_schemas import FEEDBACK_ERRORS, error_answers
from service.http.media_types import JSON, type_of_body
from service.http.openapi import one_of
from service.protocols.json_body import OPTIONS
from service.protocols.native.examples import SEVEN, drawn
from service.protocols.native.query import parameters, wrong_parameter
from service.routes.dependencies import require_key, state_of

if TYPE_CHECKING:
    from training.corrections import Correction

ID_LIMIT: Final = 2**63 - 1
PAGE_LIMIT: Final = 500
PARAMETERS: Final = {
    "after": ("Only corrections with greater ids", f"a whole number from 0 to {ID_LIMIT}"),
    "limit": ("At most so many", f"a whole number from 1 to {PAGE_LIMIT}"),
}
"""Query parameter -> its description in OpenAPI, and its allowed values for errors."""
RANGES: Final = {"after": (0, ID_LIMIT, 0), "limit": (1, PAGE_LIMIT, 100)}
"""Query parameter -> minimum, maximum, default."""
KEY_PARAMETER: Final = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "Chosen by the client: the same correction sent again with it is not kept twice, and whoever "
    "knows it may delete the correction; 16 random bytes in hexadecimal cannot be guessed",
    "schema": {"type": "string", "pattern": f"^{KEY}$"},
}
ID_PARAMETER: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The id in the answer to the correction",
    "schema": {"type": "integer", "minimum": 1, "maximum": ID_LIMIT},
}
SEVEN_TAKEN_FOR_ONE: Final[dict[str, Any]] = {
    "pixels": drawn(SEVEN).ravel().tolist(),
    "digit": 7,
    "model": "lenet",
    "predicted": 1,
}
FORMS: Final = (PictureCorrection, PredictionCorrection)
ADD_DOCUMENTATION: Final[dict[str, Any]] = {
    "parameters": [KEY_PARAMETER],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": one_of(PictureCorrection, PredictionCorrection),
                "examples": {
                    "a picture": {
                        "summary": "A seven, which lenet took for a one",
                        "value": SEVEN_TAKEN_FOR_ONE,
                    },
                    "a prediction": {
                        "summary": "The second picture of a request: its answer had this X-Prediction-Id",
                        "value": {"prediction": "0-1024-9f86d081884c7d659a2feaa0c55ad015", "index": 1, "digit": 7},
                    },
                },
            }
        },
    },
}
STORED: Final = {
    "id": 1,
    "received": "2026-11-29T12:00:00+00:00",
    "client_key": None,
    "version": 3,
} | SEVEN_TAKEN_FOR_ONE
EXAMPLES: Final = {"list_corrections": {"a page": {"value": {"corrections": [STORED], "next": None}}}}
ADD_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": KeptCorrection, "description": "It had been kept before, with the same key"}
}
PAGE_DOCUMENTATION: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": PARAMETERS[name][0],
            "schema": {"type": "integer", "minimum": least, "maximum": most, "default": default},
        }
        for name, (least, most, default) in RANGES.items()
    ]
}

router = APIRouter(prefix="/feedback", tags=["feedback"])


@router.post(
    "",
    operation_id="add_correction",
    summary="Say which digit a picture really shows",
    status_code=201,
    response_model=KeptCorrection,
    responses=ADD_RESPONSES | error_answers(400, 404, 409, 413, 415, 422, 429, 503, errors=FEEDBACK_ERRORS),
    openapi_extra=ADD_DOCUMENTATION,
)
async def add(request: Request) -> Response:
    """The picture itself, or the id of a prediction that was made of it a short while ago.

    Of several corrections of one picture by one client, told by its key or its address, the last one is kept.
    What cannot be kept now is refused with 503; predictions do not depend on it.
    """
    state, headers = state_of(request), dict(request.scope["headers"])
    corrections = state.corrections
    corrections.check_room()  # before the body is read, and so is the limit
    client = _client(request)
    state.corrections_limit.take(client)
    type_of_body(headers, (JSON,))
    key = client_key(headers)
    body = await read_body(request.receive, headers, state.settings.body_limit_bytes, state.offload)
    posted = await state.offload.decode_json(decode_correction, body)
    named = posted.picture
    picture = state.recent.find(*named) if isinstance(named, NamedPrediction) else named
    added = await corrections.add(posted.digit, picture, key, client)
    return Response(orjson.dumps(added._asdict(), option=OPTIONS), 201 if added.new else 200, media_type=JSON)


@router.delete(
    "/{id}",
    operation_id="delete_correction",
    summary="Take a correction back",
    response_model=DeletedCorrection,
    responses=error_answers(404, 422, 429, 503, errors=FEEDBACK_ERRORS),
    openapi_extra={"parameters": [ID_PARAMETER, KEY_PARAMETER]},
)
async def delete(request: Request) -> Response:
    """Wants the `Idempotency-Key` or the API key that the correction was sent with, or a management key."""
    state = state_of(request)
    client = _client(request)
    state.corrections_limit.take(client)
    number = _id(request.path_params["id"])
    authorization = request.headers.get("Authorization")
    await state.corrections.remove(
        number,
        client_key(dict(request.scope["headers"])),
        client if state.keys.owner(authorization) else None,  # an address may be that of many
        anyone=state.keys.allows(authorization, "manage"),
    )
    return Response(orjson.dumps({"id": number, "deleted": True}, option=OPTIONS), media_type=JSON)


@router.get(
    "",
    operation_id="list_corrections",
    summary="The corrections that were kept, a page at a time",
    response_model=CorrectionsPage,
    responses=error_answers(401, 403, 404, 422, 503, errors=FEEDBACK_ERRORS),
    openapi_extra=PAGE_DOCUMENTATION,
    dependencies=[Depends(require_key)],
)
async def page(request: Request) -> Response:
    """Wants a management key. `next` of a page is `after` of the next one."""
    query = _page_query(request.scope["query_string"])
    corrections = await state_of(request).corrections.page(query.after, query.limit)
    content = {
        "corrections": [_encodable(correction) for correction in corrections],
        "next": corrections[-1].id if len(corrections) == query.limit else None,
    }
    return Response(orjson.dumps(content, option=OPTIONS), media_type=JSON)


def _client(request: Request) -> str:
    """What the limit tells clients apart by: the owner of the key, or without a known key the address."""
    owner = state_of(request).keys.owner(request.headers.get("Authorization"))
    return f"key of {owner}" if owner else client_of_address(request.client.host if request.client else None)


def _id(text: str) -> int:
    """The id in a path. Raises WrongValue."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= ID_LIMIT):
        found, wanted = shortened(text), f"a whole number from 1 to {ID_LIMIT}"
        raise WrongValue("wrong_type", f"id is {found!r}, want {wanted}", field="id", found=found, wanted=wanted)
    return int(text)


class _PageQuery(NamedTuple):
    after: int
    limit: int


def _page_query(query: bytes) -> _PageQuery:
    given = parameters(query, PARAMETERS)
    return _PageQuery(*(_number(name, given[name]) if name in given else RANGES[name][2] for name in RANGES))


def _number(name: str, text: str) -> int:
    least, most, _ = RANGES[name]
    if not (text.isascii() and text.isdigit()):
        raise wrong_parameter("wrong_type", name, text, PARAMETERS[name][1])
    if len(text) > 19 or not least <= int(text) <= most:
        raise wrong_parameter("out_of_range", name, text, PARAMETERS[name][1])
    return int(text)


def _encodable(correction: Correction) -> dict[str, Any]:
    """A correction for orjson, with pixels as an array, which orjson encodes fast."""
    return {**msgspec.structs.asdict(correction), "pixels": np.frombuffer(correction.pixels, np.uint8)}
