"""The fast JSON reader of pixels: it reads what most clients send and leaves any other body to the general reader."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import RequestError
from service.protocols.json_body import read_object
from service.protocols.native import request as module
from service.protocols.native.fast_json import LIMIT_BYTES, whole_numbers

PICTURE = [value % 256 for value in range(784)]
ONE = json.dumps({"pixels": PICTURE}).encode()
TWO = json.dumps({"instances": [PICTURE, PICTURE[::-1]]}).encode()
ROWS = np.reshape(PICTURE, (28, 28)).tolist()
ONE_OF_ROWS = json.dumps({"pixels": ROWS}).encode()
MIXED = json.dumps({"instances": [ROWS, PICTURE, ROWS]}).encode()
PIECES = [
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b"0",
    b"-1",
    b"1.0",
    b"256",
    b"1e2",
    b"true",
    b"null",
    b" ",
    b"\n",
    b'"',
    b"[]",
    b"{}",
]


def read(body: bytes) -> object:
    """What is said of a body, without the way that the usual ones take."""
    try:
        return read_object(body, module.PREDICT_FORM, lambda request, booleans: module._decode(request, 4, booleans))
    except RequestError as error:
        return str(error)


def same(body: bytes) -> bool:
    found, wanted = whole_numbers(body, limit_rows=10**6), read(body)
    return found is None or (np.array_equal(found[0], wanted[0]) and found[1] == wanted[1])


@pytest.mark.parametrize(
    ("body", "rows"), [(ONE, 1), (TWO, 2), (ONE.replace(b" ", b"\n"), 1), (ONE_OF_ROWS, 1), (MIXED, 3)]
)
def test_what_most_clients_send_is_read_this_way(body, rows):
    images, many = whole_numbers(body, limit_rows=10**6)
    assert (images.shape, images.dtype, many) == ((rows, 28, 28), np.uint8, rows > 1)
    assert images[0].tolist() == ROWS
    assert same(body)


@given(st.sampled_from([ONE, TWO, ONE_OF_ROWS, MIXED]), st.data())
def test_a_body_with_something_else_in_it_is_never_read_otherwise(body, data):
    for _ in range(data.draw(st.integers(1, 3))):
        place, piece = data.draw(st.integers(0, len(body))), data.draw(st.sampled_from(PIECES))
        body = body[:place] + piece + body[place + data.draw(st.integers(0, 4)) :]
    assert same(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + ONE,
        ONE + b"0",
        ONE + b"\0",
        ONE.replace(b"}", b"") + b', "pixels": []}',
        b"[" + ONE + b"]",
        json.dumps({"pixels": [PICTURE]}).encode(),
        json.dumps({"pixels": [[], *PICTURE]}).encode(),
        json.dumps({"pixels": ROWS[1:]}).encode(),
        json.dumps({"pixels": [*ROWS[1:], PICTURE[:27]]}).encode(),
        json.dumps({"pixels": [*ROWS[1:], [*PICTURE[:27], [0]]]}).encode(),
        json.dumps({"pixels": [*ROWS[1:], 0]}).encode(),
        json.dumps({"pixels": np.reshape(PICTURE, (28, 28, 1)).tolist()}).encode(),
        json.dumps({"instances": [ROWS, ROWS[0]]}).encode(),
        json.dumps({"instances": [PICTURE[1:], [*PICTURE, 0]]}).encode(),
        json.dumps({"instances": [PICTURE, [*PICTURE[:-1], [7]]]}).encode(),
        json.dumps({"instances": [[*PICTURE[:-1], []], PICTURE]}).encode(),
        json.dumps({"instances": PICTURE}).encode(),
        json.dumps({"instances": []}).encode(),
        json.dumps({"pixels": [True, *PICTURE[1:]]}).encode(),
        json.dumps({"pixels": [2**64, *PICTURE[1:]]}).encode(),
        json.dumps({"pixels": [256, *PICTURE[1:]]}).encode(),
        json.dumps({"picture": PICTURE}).encode(),
        b'{"pixels": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        TWO + b" " * LIMIT_BYTES,
    ],
)
def test_whatever_is_not_the_usual_is_left_to_others(body):
    assert whole_numbers(body, limit_rows=10**6) is None
    assert same(body)


def test_an_error_leaves_the_next_body_alone():
    assert whole_numbers(ONE[:-1], limit_rows=1) is None
    assert whole_numbers(ONE, limit_rows=1) is not None


def test_without_the_parser_every_body_is_left_to_others(monkeypatch):
    """As on Python 3.14."""
    monkeypatch.setattr("service.protocols.native.fast_json.Parser", None)
    assert whole_numbers(ONE, limit_rows=1) is None
    assert read(ONE)[0].shape == (1, 28, 28)
