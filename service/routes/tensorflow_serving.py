"""`/v1`: TensorFlow Serving's REST API, spoken by its clients and by KServe's first protocol.

https://www.tensorflow.org/tfx/serving/api_rest. Pixels run from 0 to 255 for the signature `serving_default`, and from
0 to 1 for `unit_scale`. The only output is `probabilities`, so that `predictions` are lists of ten numbers.
`Content-Type` is ignored: the protocol's own examples send none.
"""

from __future__ import annotations

import base64
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from service.errors import UnknownVerb, WrongValue, shortened
from service.http.body import read_body
from service.http.error_schemas import plain_error_answers
from service.http.media_types import JSON
from service.http.openapi import TIMEOUT, one_of, path_parameters
from service.http.response import RawResponse
from service.observability.request_context import note_stage
from service.protocols.native.examples import SEVEN, drawn
from service.protocols.tensorflow_serving.codec import decode_rows, encode_rows
from service.protocols.tensorflow_serving.schemas import (
    ColumnAnswer,
    ColumnRequest,
    LoadStatus,
    ModelMetadata,
    ModelNames,
    ModelSpec,
    ModelStatus,
    RowAnswer,
    RowRequest,
    VersionStatus,
)
from service.protocols.tensorflow_serving.signatures import signature_def
from service.protocols.warnings import DOCUMENTATION as WARNINGS
from service.protocols.warnings import warning_headers
from service.routes.call import begin_call, model_headers
from service.routes.dependencies import loaded_registry, state_of

if TYPE_CHECKING:
    from service.models.loaded_version import LoadedVersion

MODEL: Final = "/v1/models/{model}"
VERSION: Final = f"{MODEL}/versions/{{version}}"
LABEL: Final = f"{MODEL}/labels/{{label}}"
PREDICT: Final = "predict"
PREDICT_PATHS: Final = tuple(f"{path}:predict" for path in (MODEL, VERSION, LABEL))
PARAMETERS: Final = {
    "model": "The model",
    "version": "Its version, a number",
    "label": "An alias of a version, such as `champion`",
}
PATTERNS: Final = {"version": "^[0-9]+$", "label": "[^0-9]"}
NUMBER: Final = re.compile("[0-9]+")
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
LOADED: Final = LoadStatus(error_code="OK", error_message="")
SUFFIXES: Final = {MODEL: "", VERSION: "_version", LABEL: "_label"}
"""Ends of operation ids."""
FORMS: Final = (RowRequest, ColumnRequest)
ERRORS: Final = plain_error_answers(400, 404, 413, 415, 500, 503, 504)
SEVEN_B64: Final = base64.b64encode(drawn(SEVEN).tobytes()).decode()
BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        JSON: {
            "schema": one_of(RowRequest, ColumnRequest),
            "examples": {
                "rows": {"summary": "A seven: 784 bytes, row by row", "value": {"instances": [{"b64": SEVEN_B64}]}},
                "columns": {"summary": "The same one", "value": {"inputs": {"pixels": [{"b64": SEVEN_B64}]}}},
            },
        }
    },
}

router = APIRouter(tags=["TensorFlow Serving"])


def _predict_documentation(path: str) -> dict[str, Any]:
    return {
        "operation_id": f"v1_predict{SUFFIXES[path]}",
        "summary": "Say which digits pictures show",
        "response_model": RowAnswer | ColumnAnswer,
        "responses": {200: {"headers": WARNINGS}} | ERRORS,
        "openapi_extra": {"parameters": [*path_parameters(path, PARAMETERS, PATTERNS), TIMEOUT], "requestBody": BODY},
    }


def _get_documentation(path: str, name: str, summary: str) -> dict[str, Any]:
    statuses = (404, 503) if path == MODEL else (400, 404, 503)
    return {
        "operation_id": f"v1_{name}{SUFFIXES[path]}",
        "summary": summary,
        "responses": plain_error_answers(*statuses),
        "openapi_extra": {"parameters": path_parameters(path, PARAMETERS, PATTERNS)},
    }


@router.post(f"{MODEL}:predict", **_predict_documentation(MODEL))
@router.post(f"{VERSION}:predict", **_predict_documentation(VERSION))
@router.post(f"{LABEL}:predict", **_predict_documentation(LABEL))
async def predict(request: Request) -> Response:
    """`instances` are answered with `predictions`, one for each; `inputs` with `outputs`.

    A picture is 784 numbers, 28 x 28 or 28 x 28 x 1, or `{"b64": …}` of 784 bytes, by itself or as `{"pixels": …}`.
    """
    state, headers = state_of(request), dict(request.scope["headers"])
    with _resolve(request) as version:
        call = begin_call(state, headers, version, request.receive)
        body = await read_body(call.receive, headers, state.settings.body_limit_bytes, state.offload)
        began_s = time.perf_counter()
        decode = partial(decode_rows, limit_rows=state.settings.request_limit_rows)
        decoded = await state.offload.decode_json(decode, body, call.deadline_s, call.receive)
        note_stage("decode", began_s)
        prediction = await call.predict(decoded.images, pinned=len(request.path_params) > 1)
    began_s = time.perf_counter()
    encode = partial(encode_rows, prediction.answers.probabilities, columns=decoded.columns)
    content = await state.offload.encode(encode, len(decoded.images), call.deadline_s)
    warnings = await call.warnings(prediction.answers, decoded.images)
    note_stage("encode", began_s)
    of_answer = [*model_headers(prediction.version), *prediction.id_header, *warning_headers(warnings)]
    return RawResponse(content, JSON, of_answer)


class Verb(StringConvertor):
    """A verb of a path has no colon: a path of many colons is matched in linear time."""

    regex = "[^/:]+"


register_url_convertor("verb", Verb())


@router.api_route(f"{MODEL}:{{verb:verb}}", methods=METHODS, include_in_schema=False)
@router.api_route(f"{VERSION}:{{verb:verb}}", methods=METHODS, include_in_schema=False)
@router.api_route(f"{LABEL}:{{verb:verb}}", methods=METHODS, include_in_schema=False)
async def other_verb(request: Request) -> None:
    """TensorFlow Serving's other verbs, and `:predict` by another method; no model has a colon in its name."""
    verb = request.path_params["verb"]
    if verb == PREDICT:
        raise HTTPException(405)
    found, wanted = f":{shortened(verb)}", f":{PREDICT}"
    message = f"{found} is not offered here, want {wanted}"
    raise UnknownVerb("unknown_verb", message, field="path", found=found, wanted=wanted)


@router.get(
    "/v1/models", operation_id="v1_models", summary="Names of the loaded models", responses=plain_error_answers(503)
)
async def models(request: Request) -> ModelNames:
    """As KServe's first protocol has it."""
    return ModelNames(models=[*loaded_registry(request).models()])


@router.get(MODEL, **_get_documentation(MODEL, "status", "Which versions are loaded"))
@router.get(VERSION, **_get_documentation(VERSION, "status", "Which versions are loaded"))
@router.get(LABEL, **_get_documentation(LABEL, "status", "Which versions are loaded"))
async def status(request: Request) -> ModelStatus:
    """A version that is wanted and could not be loaded is at its END, with the reason."""
    state, version = state_of(request), _resolve(request)
    registry, watcher = state.registry, state.watcher
    one = len(request.path_params) > 1
    versions = [version] if one else [*registry.model(version.name).versions.values()]
    states = [VersionStatus(version=str(of.version), state="AVAILABLE", status=LOADED) for of in versions]
    for rejected in watcher.rejected if watcher and not one else ():
        if rejected.model == version.name and rejected.version is not None:
            failed = LoadStatus(error_code="INTERNAL", error_message=str(rejected.error))
            states.append(VersionStatus(version=str(rejected.version), state="END", status=failed))
    ready = registry.alive and not registry.draining
    return ModelStatus(name=version.name, ready=ready, model_version_status=states)


@router.get(f"{MODEL}/metadata", **_get_documentation(MODEL, "metadata", "What goes in and out"))
@router.get(f"{VERSION}/metadata", **_get_documentation(VERSION, "metadata", "What goes in and out"))
@router.get(f"{LABEL}/metadata", **_get_documentation(LABEL, "metadata", "What goes in and out"))
async def metadata(request: Request) -> ModelMetadata:
    """The signatures, in the form of TensorFlow's protocol buffers."""
    version = _resolve(request)
    return ModelMetadata(
        model_spec=ModelSpec(name=version.name, signature_name="", version=str(version.version)),
        metadata={"signature_def": {"signature_def": signature_def()}},
    )


def _resolve(request: Request) -> LoadedVersion:
    """The version in a path. Raises ModelNotLoaded, VersionNotLoaded, and WrongValue for a wrong number or alias."""
    given = request.path_params
    version, label = given.get("version"), given.get("label")
    if version is not None and not NUMBER.fullmatch(version):
        raise _wrong("version", version, "a number; aliases stand behind /labels/")
    if label is not None and NUMBER.fullmatch(label):
        raise _wrong("label", label, "an alias such as champion; numbers stand behind /versions/")
    return state_of(request).registry.resolve(given["model"], version if label is None else label)


def _wrong(field: str, found: str, wanted: str) -> WrongValue:
    found = shortened(found)
    return WrongValue("wrong_type", f"{field} is {found!r}, want {wanted}", field=field, found=found, wanted=wanted)
