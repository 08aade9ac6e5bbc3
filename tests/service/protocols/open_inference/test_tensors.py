"""Tensors of the Open Inference Protocol: decoding, and errors that name the place of a wrong value."""

import numpy as np
import pytest

from service.errors import WrongValue
from service.protocols.open_inference.binary_tensors import bytes_of, joined, split
from service.protocols.open_inference.tensors import DATATYPES, check_shape, pictures_of_binary, pictures_of_json
from training.images import quantise

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (2, 784), np.uint8)
FRACTIONS = RANDOM.uniform(0, 7, (2, 784))


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name[0] != "I" and name != "FP16"])
def test_json_and_binary_are_the_same_pictures(datatype):
    numbers = PIXELS.astype(DATATYPES[datatype])
    in_json = pictures_of_json(numbers.ravel().tolist(), datatype, (2, 784), 255, "x", booleans=False)
    in_binary = pictures_of_binary(numbers.tobytes(), datatype, (2, 784), 255, "x")
    assert (in_json == PIXELS.reshape(2, 28, 28)).all()
    assert (in_binary == in_json).all()


def test_another_scale_goes_through_the_one_definition_of_preprocessing():
    wanted = quantise(FRACTIONS, 7)
    in_json = pictures_of_json(FRACTIONS.ravel().tolist(), "FP64", (2, 784), 7, "x", booleans=False)
    in_binary = pictures_of_binary(FRACTIONS.tobytes(), "FP64", (2, 784), 7, "x")
    assert (in_json == wanted).all()
    assert (in_binary == wanted).all()


@pytest.mark.parametrize("booleans", [False, True])
def test_booleans_somewhere_in_the_body_change_nothing_for_pixels_that_are_numbers(booleans):
    found = pictures_of_json(PIXELS.tolist(), "UINT8", (2, 784), 255, "x", booleans=booleans)
    assert (found == PIXELS.reshape(2, 28, 28)).all()


def test_the_place_of_a_wrong_value_is_the_one_in_the_lists_that_were_sent():
    nested = np.zeros((2, 28, 28, 1)).tolist()
    nested[1][2][3][0] = -1
    with pytest.raises(WrongValue, match=r"^x\.data\[1\]\[2\]\[3\]\[0\] is -1, want"):
        pictures_of_json(nested, "FP32", (2, 28, 28, 1), 255, "x", booleans=False)
    flat = [0.0] * 1568
    flat[784 + 59] = 256.0
    with pytest.raises(WrongValue, match=r"^x\.data\[843\] is 256\.0, want"):
        pictures_of_json(flat, "FP32", (2, 784), 255, "x", booleans=False)


def test_a_shape_with_more_numbers_than_any_picture_is_told_shortly():
    with pytest.raises(WrongValue) as caught:
        check_shape([10**17] * 5000, "x", 8)
    assert len(str(caught.value)) < 250


def test_bytes_are_each_behind_their_length_and_numbers_little_endian():
    assert bytes_of([["ab", "c"]]) == b"\x02\0\0\0ab\x01\0\0\0c"
    assert bytes_of(np.array([1], ">i8")) == b"\x01" + bytes(7)


def test_a_body_is_split_where_the_header_says_and_joined_again():
    body, headers = joined(b"{}", [b"ab", b"c"])
    assert (body, headers) == (b"{}abc", [(b"inference-header-content-length", b"2")])
    json, tensors = split(body, dict(headers))
    assert (json, bytes(tensors)) == (b"{}", b"abc")
    assert split(body, {}) == (body, b"")
    assert split(b"abc", {b"inference-header-content-length": b"0"}) == (None, b"abc")
