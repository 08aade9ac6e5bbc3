"""`POST /predict`: read, decode, predict, encode."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from fastapi import APIRouter, Request, Response

from service.errors import WrongValue
from service.feedback.recent_predictions import HEADER as ID_HEADER
from service.http.body import read_body
from service.http.error_schemas import error_answers
from service.http.media_types import FORM_DATA, IMAGES, JSON, NPY, OCTETS, PICTURES, type_of_answer, type_of_body
from service.http.openapi import TIMEOUT, one_of, reference
from service.http.response import RawResponse
from service.observability.request_context import note_stage
from service.protocols.native.examples import answers, bodies
from service.protocols.native.fast_json import whole_numbers
from service.protocols.native.form_data import decode_form, named_errors
from service.protocols.native.image_file import decode_image, open_image, type_of_file
from service.protocols.native.npy import decode_npy
from service.protocols.native.query import PARAMETERS, parse_query
from service.protocols.native.request import decode_json
from service.protocols.native.response import encode_json, encode_npy, encode_octets
from service.protocols.native.schemas import (
    LineAnswer,
    ManyAnswers,
    ManyPictures,
    OneAnswer,
    OnePicture,
    PictureFiles,
)
from service.protocols.octets import count_pictures, decode_octets
from service.protocols.pictures import Decoded
from service.protocols.warnings import DOCUMENTATION as WARNINGS
from service.protocols.warnings import frame_warnings, warning_headers
from service.routes.call import begin_call, model_headers
from service.routes.dependencies import state_of

if TYPE_CHECKING:
    from service.protocols.native.query import Query
    from service.routes.call import Call, Prediction, Read
    from training.picture import Line

OF_ARRAYS: Final = {"ink": "0 is background", "read": "each picture is one digit"}
"""By query parameter: why it does not go with arrays."""
BINARY: Final = {"type": "string", "format": "binary"}
PICTURE: Final = "One picture of any size, on paper of either colour; the first of several pages or frames"
TEXT: Final = {"type": "string", "minLength": 1}
EXAMPLES: Final = {"predict": answers()}
FORMS: Final = (OnePicture, ManyPictures, PictureFiles)
MODEL_HEADERS: Final = {"X-Model-Name": "name", "X-Model-Version": "version"}
DOCUMENTATION: Final[dict[str, Any]] = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "description": text, "schema": TEXT}
        for name, (text, _) in PARAMETERS.items()
    ]
    + [TIMEOUT],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": one_of(OnePicture, ManyPictures),
                "examples": bodies(),
            },
            OCTETS: {"schema": BINARY | {"description": "784 bytes for each picture, row by row, 0 to 255"}},
            NPY: {
                "schema": BINARY
                | {"description": "An array of numbers: [n, 784], [n, 28, 28] or [n, 28, 28, 1]; without n for one"}
            },
            FORM_DATA: {"schema": reference(PictureFiles)},
        }
        | {media_type: {"schema": BINARY | {"description": PICTURE}} for media_type in PICTURES},
    },
}
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            OCTETS: {"schema": BINARY | {"description": "The digits, a byte for each picture"}},
            NPY: {"schema": BINARY | {"description": "Probabilities, float32 [n, 10]; [10] for a single picture"}},
        },
        "headers": {
            name: {"description": f"The {what} of the model that answered; not with JSON, which says so itself"}
            | {"schema": {"type": "string"}}
            for name, what in MODEL_HEADERS.items()
        }
        | {
            ID_HEADER: {
                "description": "By what `POST /feedback` finds the picture again, the first one of several, for a while"
            }
            | {"schema": {"type": "string"}}
        }
        | WARNINGS,
    }
}

router = APIRouter(tags=["predict"])


@router.post(
    "/predict",
    summary="Say which digits pictures show",
    operation_id="predict",
    response_model=OneAnswer | LineAnswer | ManyAnswers,
    response_description="One answer for one picture; for a list of pictures or a line of digits, one for each",
    responses=ANSWERS | error_answers(400, 404, 406, 413, 415, 422, 500, 503, 504),
    openapi_extra=DOCUMENTATION,
)
async def predict(request: Request) -> Response:
    """Pixels run row by row; 0 is background and `scale`, 255 unless told otherwise, is full ink.

    Pictures in image files are prepared as MNIST's were: turned upright, rid of paper and shadows, cut to their ink,
    fitted into 20 x 20 with the centre of mass in the middle of 28 x 28. A picture of several digits is not accepted;
    with `read=line` its digits are read from left to right. A form (`multipart/form-data`) may have several files.
    Bodies may be compressed, `Content-Encoding: gzip` or `deflate`. `Accept` chooses the kind of answer.
    """
    state, scope = state_of(request), request.scope
    query = parse_query(scope["query_string"])
    with state.registry.resolve(query.model, query.version) as version:
        headers = dict(scope["headers"])
        body_type, answer_type = type_of_body(headers), type_of_answer(headers)
        _check_coverage(query, answer_type)
        rows = count_pictures(headers, limit_rows=state.settings.request_limit_rows) if body_type == OCTETS else 1
        call = begin_call(state, headers, version, request.receive, rows)
        body = await read_body(call.receive, headers, state.settings.body_limit_bytes, state.offload)
        began_s = time.perf_counter()
        read = None
        if body_type in IMAGES:
            lines = await _decode_images(body, body_type, query, call)
            images = lines[0].images if len(lines) == 1 else np.concatenate([line.images for line in lines])
            pictures = Decoded(images, many=query.read == "line" or len(lines) > 1)
            read = _reader(lines, query)
        else:
            pictures = await _decode(body, body_type, query, call)
        note_stage("decode", began_s)
        prediction = await call.predict(pictures.images, pinned=query.version is not None, read=read)
    began_s = time.perf_counter()
    encode = partial(_encode, prediction, pictures, answer_type, query)
    response = await state.offload.encode(encode, len(pictures.images), call.deadline_s)
    note_stage("encode", began_s)
    return response


def _check_coverage(query: Query, media_type: str) -> None:
    """Raises WrongValue for a coverage with a response type without prediction sets."""
    if query.coverage is not None and media_type != JSON:
        message = (
            f"query parameter coverage goes with answers in {JSON}; with {media_type}, want none: it has no "
            "prediction_set"
        )
        raise WrongValue("unknown_parameter", message, field="coverage", found=f"{query.coverage:g}", wanted="none")


async def _decode(body: bytes, media_type: str, query: Query, call: Call) -> Decoded:
    """The pictures of a JSON, octets or .npy body. Raises WrongValue, and the errors of the decoders."""
    offload, limit_rows = call.state.offload, call.state.settings.request_limit_rows
    for name, given in (("ink", query.ink), ("read", query.read)):
        if given is not None:
            message = f"query parameter {name} goes with image files; with {media_type}, want none: {OF_ARRAYS[name]}"
            raise WrongValue("unknown_parameter", message, field=name, found=given, wanted="none")
    if media_type == NPY:
        decode = partial(decode_npy, limit_rows=limit_rows, scale=query.full_ink)
        return await offload.decode_binary(decode, body, call.deadline_s, call.receive)
    if query.scale is not None:
        raise _unknown_scale(
            query.scale,
            media_type,
            'a field "scale" in the body' if media_type == JSON else "none: bytes run from 0 to 255",
        )
    if media_type != JSON:
        return decode_octets(body, limit_rows=limit_rows)
    if fast := whole_numbers(body, limit_rows=limit_rows):
        return fast
    decode = partial(decode_json, limit_rows=limit_rows)
    return await offload.decode_json(decode, body, call.deadline_s, call.receive)


async def _decode_images(body: bytes, media_type: str, query: Query, call: Call) -> list[Line]:
    """The pieces of ink in an image file, or in each file of a form.

    Raises WrongValue, and the errors of `decode_form`, `open_image` and `decode_image`.
    """
    if query.scale is not None:
        raise _unknown_scale(query.scale, media_type, "none")
    if media_type != FORM_DATA:
        return [await _decode_image(body, media_type, query, call)]
    content_type, limit_rows = call.headers[b"content-type"], call.state.settings.request_limit_rows
    decode = partial(decode_form, content_type=content_type, limit_rows=limit_rows)
    files = await call.state.offload.decode_binary(decode, body, call.deadline_s, call.receive)
    if query.read == "line" and len(files) > 1:
        found = f"{len(files)} files"
        message = f"query parameter read is line and the form has {found}, want one file for a line"
        raise WrongValue("conflicting_fields", message, field="read", found=found, wanted="one file")
    lines = []
    for file in files:  # one after another, so that files of other requests come between
        with named_errors(file):
            kind = type_of_file(file.media_type, file.content)
            lines.append(await _decode_image(file.content, kind, query, call))
    return lines


async def _decode_image(body: bytes, media_type: str, query: Query, call: Call) -> Line:
    """The pieces of ink in an image file. Raises the errors of `open_image`, `decode_image` and `Offload.run`."""
    file = open_image(body, media_type, call.state.settings.picture_limit_pixels)
    prepare = partial(decode_image, file, query.ink, alone=query.read != "line")
    return await call.state.offload.run(file.kind, prepare, len(body), call.deadline_s, call.receive)


def _unknown_scale(scale: float, media_type: str, wanted: str) -> WrongValue:
    message = f"query parameter scale goes with {NPY}; with {media_type}, want {wanted}"
    return WrongValue("unknown_parameter", message, field="scale", found=f"{scale:g}", wanted=wanted)


def _reader(lines: list[Line], query: Query) -> Read:
    """What chooses among the answers to the pieces of pictures."""
    from training.reading import read_digits, read_line

    return partial(read_line, lines[0]) if query.read == "line" else partial(read_digits, lines)


def _encode(prediction: Prediction, pictures: Decoded, media_type: str, query: Query) -> Response:
    """The response. There are no warnings about pictures that were prepared here, from image files."""
    version, answers, headers, reading = prediction
    images = pictures.images[reading.rows] if reading else pictures.images
    warnings = () if reading else frame_warnings(answers, images, many=pictures.many)
    if warnings:
        headers = [*headers, *warning_headers(warnings)]
    if media_type == JSON:
        coverage = query.set_coverage
        sets = version.predictor.prediction_sets(answers.probabilities, coverage) if coverage else None
        content = encode_json(
            answers,
            images,
            name=version.name,
            version=version.version,
            many=pictures.many,
            fields=query.fields,
            sets=sets,
            warnings=warnings,
            reading=reading,
        )
        return RawResponse(content, JSON, headers)
    probabilities = answers.probabilities
    content = encode_octets(probabilities) if media_type == OCTETS else encode_npy(probabilities, many=pictures.many)
    return RawResponse(content, media_type, [*model_headers(version), *headers])
