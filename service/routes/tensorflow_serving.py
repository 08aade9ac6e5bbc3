"""`/v1`: TensorFlow Serving's REST API, spoken by its clients and by KServe's first protocol.

https://www.tensorflow.org/tfx/serving/api_rest. Pixels run from 0 to 255 for the signature `serving_default`, and from
0 to 1 for `unit_scale`. The only output is `probabilities`, so that `predictions` are lists of ten numbers.
`Content-Type` is not looked at: the protocol's own examples send none.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from service.errors import WrongValue
from service.http.media_types import JSON
from service.http.openapi import TIMEOUT, path_parameters
from service.http.response import Answer
from service.observability.request_context import note_stage
from service.protocols.decode import shortened
from service.protocols.plain_error_schemas import plain_error_answers
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
from service.routes.dependencies import current_follower, current_live, current_settings
from service.routes.inference import infer, model_headers

if TYPE_CHECKING:
    from service.models.loaded_version import LoadedVersion

MODEL: Final = "/v1/models/{model}"
PREDICT_PATHS: Final = tuple(f"{MODEL}{of}:predict" for of in ("", "/versions/{version}", "/labels/{label}"))
PARAMETERS: Final = {
    "model": "The model",
    "version": "Its version, a number",
    "label": "An alias of a version, such as `champion`",
}
PATTERNS: Final = {"version": "^[0-9]+$", "label": "[^0-9]"}
NUMBER: Final = re.compile("[0-9]+")
LOADED: Final = LoadStatus(error_code="OK", error_message="")
ERRORS: Final = plain_error_answers(400, 404, 413, 415, 500, 503, 504)
BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "oneOf": [
                    form.model_json_schema(ref_template="#/components/schemas/{model}")
                    for form in (RowRequest, ColumnRequest)
                ]
            }
        }
    },
}

router = APIRouter(tags=["TensorFlow Serving"])


async def predict(request: Request) -> Response:
    """`instances` are answered with `predictions`, one for each; `inputs` with `outputs`.

    A picture is 784 numbers, 28 x 28 or 28 x 28 x 1, or `{"b64": …}` of 784 bytes, by itself or as `{"pixels": …}`.
    """
    limit_rows, headers = current_settings(request).request_limit_rows, dict(request.scope["headers"])
    with _asked(request) as version:
        inference = await infer(
            request,
            headers,
            version,
            lambda body, _: decode_rows(body, limit_rows=limit_rows),
            named=len(request.path_params) > 1,
        )
    began_s = time.perf_counter()
    content = encode_rows(inference.answers.probabilities, columns=inference.asked.columns)
    note_stage("encode", began_s)
    return Answer(content, JSON, [*model_headers(inference.version), *inference.id_header])


for path in PREDICT_PATHS:
    router.post(
        path,
        summary="Say which digits pictures show",
        response_model=RowAnswer | ColumnAnswer,
        responses=ERRORS,
        openapi_extra={"parameters": [*path_parameters(path, PARAMETERS, PATTERNS), TIMEOUT], "requestBody": BODY},
    )(predict)


@router.get("/v1/models", summary="Names of the loaded models", responses=plain_error_answers(503))
async def models(request: Request) -> ModelNames:
    """As KServe's first protocol has it."""
    return ModelNames(models=[*current_live(request).models()])


async def status(request: Request) -> ModelStatus:
    """A version that is wanted and could not be loaded is at its END, with the reason."""
    live, follower = current_live(request), current_follower(request)
    version = _asked(request)
    one = len(request.path_params) > 1
    versions = [version] if one else [*live.model(version.name).versions.values()]
    states = [VersionStatus(version=str(of.version), state="AVAILABLE", status=LOADED) for of in versions]
    for refusal in follower.refusals if follower and not one else ():
        if refusal.model == version.name and refusal.version is not None:
            failed = LoadStatus(error_code="INTERNAL", error_message=str(refusal.error))
            states.append(VersionStatus(version=str(refusal.version), state="END", status=failed))
    return ModelStatus(name=version.name, ready=live.alive and not live.draining, model_version_status=states)


async def metadata(request: Request) -> ModelMetadata:
    """The signatures, in the form of TensorFlow's protocol buffers."""
    version = _asked(request)
    return ModelMetadata(
        model_spec=ModelSpec(name=version.name, signature_name="", version=str(version.version)),
        metadata={"signature_def": {"signature_def": signature_def()}},
    )


for path in PREDICT_PATHS:
    of = path.removesuffix(":predict")
    for get, end, summary in (
        (status, "", "Which versions are loaded"),
        (metadata, "/metadata", "What goes in and out"),
    ):
        router.get(
            of + end,
            summary=summary,
            responses=plain_error_answers(404, 503) if path == PREDICT_PATHS[0] else plain_error_answers(400, 404, 503),
            openapi_extra={"parameters": path_parameters(of, PARAMETERS, PATTERNS)},
        )(get)


def _asked(request: Request) -> LoadedVersion:
    """The version of a path. Raises UnknownModel, UnknownVersion, and WrongValue for what is no number or no alias."""
    given = request.path_params
    version, label = given.get("version"), given.get("label")
    if version is not None and not NUMBER.fullmatch(version):
        raise _wrong("version", version, "a number; aliases stand behind /labels/")
    if label is not None and NUMBER.fullmatch(label):
        raise _wrong("label", label, "an alias such as champion; numbers stand behind /versions/")
    return current_live(request).resolve(given["model"], version if label is None else label)


def _wrong(field: str, found: str, wanted: str) -> WrongValue:
    found = shortened(found)
    return WrongValue("wrong_type", f"{field} is {found!r}, want {wanted}", field=field, found=found, wanted=wanted)
