"""`POST /feedback` refuses wrong bodies and keys, and says what was found and what is wanted."""

import json

import pytest

from tests.support.feedback import PIXELS, WHOLE, client_with, kept, problem

pytestmark = pytest.mark.anyio
NAME = "a model's name: lower-case letters, digits, - and _, at most 64"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"digit": None}, "wrong_type", "digit is null, want a whole number from 0 to 9"),
        ({"digit": "7"}, "wrong_type", 'digit is "7" (a string), want a whole number from 0 to 9'),
        ({"digit": True}, "wrong_type", "digit is true (a boolean), want a whole number from 0 to 9"),
        ({"digit": 10}, "out_of_range", "digit is 10, want a whole number from 0 to 9"),
        ({"digit": 7.5}, "out_of_range", "digit is 7.5, want a whole number from 0 to 9"),
        ({"digit": float("nan")}, "out_of_range", "digit is NaN, want a whole number from 0 to 9"),
        ({"version": 0}, "out_of_range", "version is 0, want a whole number from 1 to 2147483647"),
        ({"predicted": -1}, "out_of_range", "predicted is -1, want a whole number from 0 to 9"),
        ({"model": 3}, "wrong_type", f"model is 3, want {NAME}"),
        (
            {"model": "a\0b"},
            "invalid_name",
            f'model is "a\\u0000b" (a string), want {NAME}',
        ),
        ({"pixels": PIXELS[1:]}, "wrong_length", "pixels has 783 pixels, want 784 (28 x 28, row by row)"),
        ({"pixels": [256, *PIXELS[1:]]}, "out_of_range", "pixels[0] is 256, want a number from 0 to 255"),
        ({"pixels": [True, *PIXELS[1:]]}, "wrong_type", "pixels[0] is true (a boolean), want a number from 0 to 255"),
        (
            {"pixels": [PIXELS] * 2},
            "wrong_length",
            "pixels has 2 pictures, want the pixels of one: each picture has a correction of its own",
        ),
        ({"scale": "1"}, "wrong_type", 'scale is "1" (a string), want a number, the value that means full ink'),
        (
            {"note": "an ugly seven"},
            "unknown_field",
            '"note" is not known here, want "digit", and "pixels" with "scale", "model", "version", "predicted", '
            'or "prediction" with "index"',
        ),
        (
            {"prediction": "0-1-0123456789abcdef"},
            "conflicting_fields",
            'the body has both "pixels" and "prediction", want one of them: '
            '{"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        (
            {"index": 0},
            "conflicting_fields",
            'the body has both "pixels" and "index", want "digit", and "pixels" with "scale", "model", "version", '
            '"predicted", or "prediction" with "index"',
        ),
    ],
)  # fmt: skip
async def test_a_body_that_is_wrong_is_refused_with_what_was_found_and_what_is_wanted(file, change, code, message):
    async with client_with(file) as client:
        headers = {"Content-Type": "application/json"}
        response = await client.post("/feedback", content=json.dumps(WHOLE | change), headers=headers)
    assert problem(response, 422, code) == message
    assert kept(file) == []


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (
            {"pixels": PIXELS},
            422,
            "missing_field",
            'the body has no "digit", want {"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        (
            {"digit": 7},
            422,
            "missing_field",
            'the body has neither "pixels" nor "prediction", want one of them: '
            '{"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        ({"digit": 7, "prediction": 5}, 422, "wrong_type", "prediction is 5, want the id of a prediction, a string"),
        (
            {"digit": 7, "prediction": "0-1-0123456789abcdef", "index": -1},
            422,
            "out_of_range",
            "index is -1, want a whole number from 0 to 2147483647",
        ),
        (
            {"digit": 7, "prediction": "0-1-0123456789abcdef"},
            404,
            "unknown_prediction",
            "prediction '0-1-0123456789abcdef' is not known, or not any more; the picture itself can be sent as pixels",
        ),
        (
            [7],
            422,
            "wrong_type",
            "the body is a list of 1, want an object: "
            '{"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
    ],
)
async def test_a_body_that_lacks_something_is_refused(file, body, status, code, message):
    async with client_with(file) as client:
        assert problem(await client.post("/feedback", json=body), status, code) == message


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (b"", "'' (0 characters)"),
        (b"two words", "'two words' (9 characters)"),
        (b"k\xe9y", "'kéy' (3 characters)"),
        (b"k" * 201, f"'{'k' * 39}…' (201 characters)"),
    ],
)
async def test_a_key_that_is_none_is_refused(file, key, found):
    async with client_with(file) as client:
        response = await client.post("/feedback", json=WHOLE, headers={"Idempotency-Key": key})
    assert problem(response, 422, "invalid_key") == (
        f"Idempotency-Key is {found}, want 1 to 200 visible characters of ASCII"
    )


@pytest.mark.parametrize(
    ("content", "headers", "status", "code", "message"),
    [
        (
            b"x",
            {"Content-Type": "application/octet-stream"},
            415,
            "unsupported_media_type",
            "Content-Type is application/octet-stream, want application/json",
        ),
        (
            b"",
            {"Content-Type": "application/json"},
            400,
            "empty_body",
            'the body is empty, want {"pixels": [784 numbers], "digit": 7} or {"prediction": "…", "digit": 7}',
        ),
        (
            b" " * 10_001,
            {"Content-Type": "application/json"},
            413,
            "body_too_large",
            "the body has 10001 bytes, want at most 10000",
        ),
    ],
)
async def test_a_body_of_another_kind_is_refused(file, content, headers, status, code, message):
    async with client_with(file, body_limit_bytes=10_000) as client:
        assert problem(await client.post("/feedback", content=content, headers=headers), status, code) == message
