"""`/v2`: the Open Inference Protocol, spoken by the clients of Triton, KServe and MLServer.

https://github.com/open-inference/open-inference-protocol, with Triton's extensions for binary tensors, classification
and the model repository. Pixels run from 0 to 255, or from 0 to `parameters.scale` of the request. The store decides
which versions are loaded: `load` polls the store at once, and `unload` is refused. `Content-Type` is ignored: Triton's
own client sends none.
"""

from __future__ import annotations

import time
from functools import partial
from importlib.metadata import version as version_of
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from service.errors import FollowsStore, WrongValue, wrong_type
from service.http.body import read_body
from service.http.error_schemas import plain_error_answers
from service.http.media_types import JSON, OCTETS
from service.http.offload import INLINE_BYTES
from service.http.openapi import TIMEOUT, path_parameters, reference
from service.http.response import RawResponse
from service.observability.request_context import note_stage
from service.protocols.json_body import ObjectForm, read_object
from service.protocols.native.examples import SEVEN, drawn
from service.protocols.open_inference.binary_tensors import HEADER, json_bytes
from service.protocols.open_inference.request import decode_inference
from service.protocols.open_inference.response import encode_inference
from service.protocols.open_inference.schemas import (
    IndexEntry,
    IndexRequest,
    InferenceModelMetadata,
    InferRequest,
    InferResponse,
    Live,
    Loaded,
    LoadRequest,
    ModelReady,
    Ready,
    ServerMetadata,
    TensorMetadata,
)
from service.protocols.open_inference.tensors import INPUT_METADATA, OUTPUT_METADATA
from service.protocols.warnings import DOCUMENTATION as WARNINGS
from service.protocols.warnings import warning_headers
from service.routes.call import begin_call
from service.routes.dependencies import loaded_registry, require_key, state_of
from service.routes.health import healthz
from service.routes.manage import sync_now

EXTENSIONS: Final = ("binary_tensor_data", "classification", "model_repository", "parameters")
PLATFORM: Final = "jax_xla"
DIGITS_VERSION: Final = version_of("digits")
"""Read once: the library reads it from the disk."""
MODEL: Final = "/v2/models/{model}"
VERSION: Final = f"{MODEL}/versions/{{version}}"
INFER_PATHS: Final = (f"{MODEL}/infer", f"{VERSION}/infer")
PARAMETERS: Final = {"model": "The model", "version": "Its version, as a number or an alias such as `champion`"}
BINARY: Final = {"type": "string", "format": "binary"}
LENGTH: Final = {"description": "How many bytes of the body are JSON; the tensors stand behind it"}
SEVEN_TENSOR: Final = {
    "inputs": [{"name": "pixels", "shape": [1, 784], "datatype": "UINT8", "data": drawn(SEVEN).ravel().tolist()}]
}
BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        JSON: {
            "schema": reference(InferRequest),
            "examples": {"a tensor": {"summary": "A seven, 0 is background and 255 is ink", "value": SEVEN_TENSOR}},
        },
        OCTETS: {
            "schema": BINARY
            | {"description": f"With `{HEADER}`: JSON and binary tensors. If that is 0: n x 784 bytes from 0 to 255"}
        },
    },
}
SUFFIXES: Final = {MODEL: "", VERSION: "_version"}
"""Ends of operation ids."""
FORMS: Final = (InferRequest, IndexRequest, LoadRequest)
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {OCTETS: {"schema": BINARY | {"description": "JSON, and binary tensors behind it"}}},
        "headers": {HEADER: LENGTH | {"schema": {"type": "integer"}}} | WARNINGS,
    }
}
INDEX_FORM: Final = ObjectForm((), '"ready"', '{"ready": true} or nothing')
LOAD_FORM: Final = ObjectForm((), "nothing", "{} or nothing")

router = APIRouter(tags=["Open Inference Protocol"])


@router.get("/v2", operation_id="v2_server", summary="What this server is and speaks")
@router.get("/v2/", include_in_schema=False)
async def server() -> ServerMetadata:
    """Name, version and extensions."""
    return ServerMetadata(name="digits", version=DIGITS_VERSION, extensions=[*EXTENSIONS])


@router.get(
    "/v2/health/live", operation_id="v2_live", summary="Is the process alive?", responses=plain_error_answers(503)
)
async def live(request: Request) -> Live:
    """503 when only a restart helps."""
    await healthz(request)
    return Live(live=True)


@router.get(
    "/v2/health/ready", operation_id="v2_ready", summary="Are requests accepted?", responses=plain_error_answers(503)
)
async def ready(request: Request) -> Ready:
    """503 until a model is loaded, and from the moment the service is told to stop."""
    state_of(request).registry.check_ready()
    return Ready(ready=True)


def _get_documentation(path: str, name: str, summary: str) -> dict[str, Any]:
    return {
        "operation_id": f"v2_{name}{SUFFIXES[path]}",
        "summary": summary,
        "responses": plain_error_answers(404, 503),
        "openapi_extra": {"parameters": path_parameters(path, PARAMETERS)},
    }


def _infer_documentation(path: str) -> dict[str, Any]:
    length = {"name": HEADER, "in": "header", "required": False, **LENGTH, "schema": {"type": "string"}}
    return {
        "operation_id": f"v2_infer{SUFFIXES[path]}",
        "summary": "Say which digits pictures show",
        "response_model": InferResponse,
        "responses": ANSWERS | plain_error_answers(400, 404, 413, 415, 500, 503, 504),
        "openapi_extra": {"parameters": [*path_parameters(path, PARAMETERS), TIMEOUT, length], "requestBody": BODY},
    }


@router.get(MODEL, **_get_documentation(MODEL, "metadata", "What goes in and out"))
@router.get(VERSION, **_get_documentation(VERSION, "metadata", "What goes in and out"))
async def metadata(request: Request) -> InferenceModelMetadata:
    """Inputs of other datatypes, and of shapes [n, 28, 28] and [n, 28, 28, 1], are taken, too."""
    registry = state_of(request).registry
    version = registry.resolve(**request.path_params)
    return InferenceModelMetadata(
        name=version.name,
        versions=[str(number) for number in registry.model(version.name).versions],
        platform=PLATFORM,
        inputs=[TensorMetadata(**INPUT_METADATA)],
        outputs=[TensorMetadata(**output) for output in OUTPUT_METADATA],
    )


@router.get(f"{MODEL}/ready", **_get_documentation(MODEL, "model_ready", "Does a model answer?"))
@router.get(f"{VERSION}/ready", **_get_documentation(VERSION, "model_ready", "Does a model answer?"))
async def model_ready(request: Request) -> ModelReady:
    """404 when it is not loaded."""
    registry = state_of(request).registry
    version = registry.resolve(**request.path_params)
    registry.check_ready()
    return ModelReady(name=version.name, ready=True)


@router.post(f"{MODEL}/infer", **_infer_documentation(MODEL))
@router.post(f"{VERSION}/infer", **_infer_documentation(VERSION))
async def infer(request: Request) -> Response:
    """Takes one tensor, `pixels`; answers with `probabilities`, `digit` and `confidence`, or what `outputs` names.

    Tensors may stand in binary behind the JSON, in either direction, as Triton's extension has it.
    """
    state, headers = state_of(request), dict(request.scope["headers"])
    with state.registry.resolve(**request.path_params) as version:
        call = begin_call(state, headers, version, request.receive)
        body = await read_body(call.receive, headers, state.settings.body_limit_bytes, state.offload)
        began_s = time.perf_counter()
        decode = partial(decode_inference, headers=headers, limit_rows=state.settings.request_limit_rows)
        size = json_bytes(headers)
        in_binary = size is not None and size <= INLINE_BYTES
        decode_body = state.offload.decode_binary if in_binary else state.offload.decode_json
        decoded = await decode_body(decode, body, call.deadline_s, call.receive)
        note_stage("decode", began_s)
        prediction = await call.predict(decoded.images, pinned=len(request.path_params) > 1)
    version, answers, id_header, _ = prediction
    began_s = time.perf_counter()
    encode = partial(encode_inference, decoded, answers.probabilities, name=version.name, version=version.version)
    content, media_type, more = await state.offload.encode(encode, len(decoded.images), call.deadline_s)
    warnings = await call.warnings(answers, decoded.images)
    note_stage("encode", began_s)
    return RawResponse(content, media_type, [*more, *id_header, *warning_headers(warnings)])


@router.post(
    "/v2/repository/index",
    operation_id="v2_index",
    summary="What is loaded, and what is wanted and stays out",
    response_model=list[IndexEntry],
    responses=plain_error_answers(400, 413, 415, 503),
    openapi_extra={"requestBody": {"required": False, "content": {JSON: {"schema": reference(IndexRequest)}}}},
)
async def index(request: Request) -> list[IndexEntry]:
    """Open, as `GET /models` is. Versions that the store has and nobody wants are not listed."""
    only_ready = await _read(request, INDEX_FORM, _only_ready)
    registry, watcher = loaded_registry(request), state_of(request).watcher
    entries = [
        IndexEntry(name=version.name, version=str(version.version), state="READY", reason="")
        for version in registry.versions()
    ]
    if only_ready or not watcher:
        return entries
    return entries + [
        IndexEntry(
            name=rejected.model,
            version=None if rejected.version is None else str(rejected.version),
            state="UNAVAILABLE",
            reason=str(rejected.error),
        )
        for rejected in watcher.rejected
    ]


@router.post(
    "/v2/repository/models/{model}/load",
    operation_id="v2_load",
    summary="Look at the store now",
    responses=plain_error_answers(400, 401, 403, 404, 409, 413, 415, 503),
    dependencies=[Depends(require_key)],
    openapi_extra={
        "parameters": path_parameters("{model}", PARAMETERS),
        "requestBody": {"required": False, "content": {JSON: {"schema": reference(LoadRequest)}}},
    },
)
async def load(request: Request) -> Loaded:
    """With a management key. Brings what is new of all models, and fails if something of this one stays out.

    404 for a model that the settings do not name: which models are served is no request's business.
    """
    await _read(request, LOAD_FORM, _check_no_parameters)
    name = request.path_params["model"]
    await sync_now(request, name)
    state_of(request).registry.model(name)
    return Loaded(name=name, load=True)


@router.post(
    "/v2/repository/models/{model}/unload",
    operation_id="v2_unload",
    summary="Refused: what is loaded follows the store",
    status_code=409,
    response_model=None,
    responses=plain_error_answers(401, 403, 404, 409, 503),
    dependencies=[Depends(require_key)],
    openapi_extra={"parameters": path_parameters("{model}", PARAMETERS)},
)
async def unload(request: Request) -> None:
    """With a management key. The next look at the store would load it again, so nothing is unloaded in between."""
    name = request.path_params["model"]
    state_of(request).registry.model(name)
    wanted = "another version promoted, or the model taken from DIGITS_OTHER_MODELS"
    raise FollowsStore(
        "follows_store",
        f"{name} can't be unloaded by request, for what is loaded follows the store, want {wanted}",
        field="model",
        found=name,
        wanted=wanted,
    )


async def _read(request: Request, form: ObjectForm, decode: Any) -> Any:
    """Returns `decode(object, booleans)` for the JSON object in the body; for an empty body, an empty object."""
    headers = dict(request.scope["headers"])
    body = await read_body(request.receive, headers, INLINE_BYTES, state_of(request).offload)
    return read_object(body, form, decode) if body.strip() else decode({}, False)


def _only_ready(request: dict[str, Any], _: bool) -> bool:
    value = request.get("ready")
    if value is not None and type(value) is not bool:
        raise wrong_type("ready", value, "true or false")
    return bool(value)


def _check_no_parameters(request: dict[str, Any], _: bool) -> None:
    """Raises WrongValue for parameters, with which Triton's clients send a model configuration or files."""
    if parameters := request.get("parameters"):
        found = ", ".join(map(str, parameters)) if type(parameters) is dict else str(parameters)
        message = f"parameters has {found[:100]}, want none: models come from the store as they are"
        raise WrongValue("unknown_parameter", message, field="parameters", found=found[:100], wanted="none")
