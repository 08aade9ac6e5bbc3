"""`POST /predict`: decode, batch, predict, encode."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from service.body import JSON, check_media_type, read_body
from service.decode import decode_json, shortened
from service.encode import encode_json
from service.errors import WrongValue
from service.examples import bodies
from service.hangup import cancel_on_hang_up
from service.routes.current import current_live, current_settings
from service.schemas import ManyAnswers, ManyPictures, OneAnswer, OnePicture, error_answers

PARAMETERS: Final = {
    "model": "The model that is to answer; without it, the default one",
    "version": "Its version, as a number or an alias such as `champion`; without it, the champion",
}
DOCUMENTATION: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": text,
            "schema": {"type": "string", "minLength": 1},
        }
        for name, text in PARAMETERS.items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "oneOf": [
                        form.model_json_schema(ref_template="#/components/schemas/{model}")
                        for form in (OnePicture, ManyPictures)
                    ]
                },
                "examples": bodies(),
            }
        },
    },
}

router = APIRouter(tags=["predict"])


@router.post(
    "/predict",
    summary="Say which digits pictures show",
    response_model=OneAnswer | ManyAnswers,
    response_description="One answer for `pixels`; for `instances`, one for each, in the same order",
    responses=error_answers(400, 404, 413, 415, 422, 500, 503),
    openapi_extra=DOCUMENTATION,
)
async def predict(request: Request) -> Response:
    """Pixels run row by row; 0 is background and `scale`, 255 unless told otherwise, is full ink."""
    settings = current_settings(request)
    live = current_live(request).resolve(**_choice(request))
    check_media_type(request)
    body = await read_body(request, settings.body_limit_bytes)
    images, many = decode_json(body, limit_rows=settings.request_limit_rows)
    async with cancel_on_hang_up(request.receive):
        probabilities = await live.batcher.submit(images)
    return Response(encode_json(probabilities, name=live.name, version=live.version, many=many), media_type=JSON)


def _choice(request: Request) -> dict[str, str]:
    """`model` and `version` of the query, where given. Raises WrongValue."""
    query = request.scope["query_string"]
    if not query:
        return {}
    choice: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        field = shortened(name)
        if name not in PARAMETERS:
            message = f"query parameter {field!r} is not known here, want model or version"
            raise WrongValue("unknown_parameter", message, field=field, found=field, wanted="model or version")
        if name in choice:
            message = f"query parameter {name} is given twice, want it once"
            raise WrongValue("repeated_parameter", message, field=name, found="two values", wanted="one value")
        if not value:
            wanted = "the name of a model" if name == "model" else "a number or an alias such as champion"
            message = f"query parameter {name} is empty, want {wanted}"
            raise WrongValue("empty_parameter", message, field=name, found="nothing", wanted=wanted)
        choice[name] = value
    return choice
