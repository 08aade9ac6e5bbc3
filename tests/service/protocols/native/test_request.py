"""JSON bodies of `/predict`: forms of a picture, scale, and the error that names each wrong value."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import MalformedBody, RequestError, TooLarge, WrongValue
from service.protocols.native.request import PREDICT_FORM, decode_json
from tests.support.examples import examples
from training.images import quantise

FLAT = [i % 256 for i in range(784)]
NESTED = [FLAT[start : start + 28] for start in range(0, 784, 28)]
CHANNELS = [[[value] for value in row] for row in NESTED]
IMAGE = np.array(FLAT, np.uint8).reshape(1, 28, 28)
FORM = "784 (28 x 28, row by row)"


def decoded(request, limit_rows=16):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return decode_json(body, limit_rows=limit_rows)


def changed(picture, *path_and_value):
    """A deep copy of the picture with one value changed: changed(NESTED, 5, 3, "7")."""
    *path, value = path_and_value
    picture = json.loads(json.dumps(picture))
    place = picture
    for index in path[:-1]:
        place = place[index]
    place[path[-1]] = value
    return picture


def pixels(*path_and_value, picture=FLAT, **more):
    return {"pixels": changed(picture, *path_and_value), **more}


@pytest.mark.parametrize(
    "picture", [FLAT, NESTED, CHANNELS, [float(v) for v in FLAT], [[float(v) for v in row] for row in NESTED]]
)
def test_one_picture_in_every_form(picture):
    images, many = decoded({"pixels": picture})
    assert images.dtype == np.uint8
    assert images.tolist() == IMAGE.tolist()
    assert not many


def test_a_list_of_pictures_may_mix_the_forms():
    images, many = decoded({"instances": [FLAT, NESTED, FLAT[::-1], [v * 0.999 for v in FLAT], CHANNELS]})
    assert images.shape == (5, 28, 28)
    assert images[4].tolist() == images[0].tolist()
    assert images[1].tolist() == images[0].tolist() == IMAGE[0].tolist()
    assert images[2].ravel().tolist() == FLAT[::-1]
    assert images[3].ravel().tolist() == FLAT
    assert many


def test_a_list_of_one_picture_is_a_list():
    assert decoded({"instances": [FLAT]}).many


@pytest.mark.parametrize("scale", [1, 1.0, 255, 255.0, 15, 100.5, 65535])
def test_the_scale_is_the_value_of_full_ink(scale):
    numbers = np.linspace(0, scale, 784)
    images, _ = decoded({"pixels": numbers.tolist(), "scale": scale})
    assert images.tolist() == quantise(numbers[None], scale).tolist()
    assert images[0, 27, 27] == 255


def test_whole_numbers_are_scaled_too():
    assert decoded({"pixels": [1] * 784, "scale": 1}).images.min() == 255
    assert decoded({"pixels": [0, 15] * 392, "scale": 15}).images[0, 0, :4].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("scale", [1e-300, 1e300, 5])
def test_extreme_scales_give_no_warning_and_no_garbage(scale):
    assert decoded({"pixels": [0, scale] * 392, "scale": scale}).images[0, 0, :2].tolist() == [0, 255]


MALFORMED = [
    (b"", "empty_body", f"the body is empty, want {PREDICT_FORM.wanted}"),
    (b" \n\t", "empty_body", f"the body is empty, want {PREDICT_FORM.wanted}"),
    (b'{"pixels": "\xff"}', "not_utf8", "the body is not UTF-8: byte 0xff at offset 12"),
    ('{"pixels": [1]}'.encode("utf-16"), "not_utf8", "the body is not UTF-8: byte 0xff at offset 0"),
    (
        '{"pixels": [1]}'.encode("utf-8-sig"),
        "invalid_json",
        "the body is not valid JSON: UTF-8 byte order mark (BOM) is not supported at line 1, column 1",
    ),
    (
        b"\x89PNG\r\n\x1a\n",
        "not_utf8",
        "the body is not UTF-8: byte 0x89 at offset 0; it is an image file, which POST /predict takes with Content-"
        "Type: image/png",
    ),
    (
        b"\xff\xd8\xff\xe0",
        "not_utf8",
        "the body is not UTF-8: byte 0xff at offset 0; it is an image file, which POST /predict takes with Content-"
        "Type: image/jpeg",
    ),
    (
        b'--X\r\nContent-Disposition: attachment; name="file"\r\n\r\n\x89PNG',  # of curl -F, told that it is JSON
        "not_utf8",
        "the body is not UTF-8: byte 0x89 at offset 53; it is a form, which POST /predict takes with Content-Type: "
        "multipart/form-data and the boundary that HTTP clients add themselves",
    ),
    (
        b'--X\r\nContent-Disposition: form-data; name="file"\r\n\r\n\x89PNG',
        "not_utf8",
        "the body is not UTF-8: byte 0x89 at offset 52; it is a form, which POST /predict takes with Content-Type: "
        "multipart/form-data and the boundary that HTTP clients add themselves",
    ),
    (
        b'{"pixels": [1, 2',
        "invalid_json",
        "the body is not valid JSON: unexpected end of data at line 1, column 17",
    ),
    (
        b'{"pixels": [1,]}',
        "invalid_json",
        "the body is not valid JSON: trailing comma is not allowed at line 1, column 14",
    ),
    (
        b'{"pixels": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        "invalid_json",
        "the body is not valid JSON: depth limit exceeded at line 1, column 1036",
    ),
    (
        b"pixels=1",
        "invalid_json",
        "the body is not valid JSON: unexpected character, expected a JSON value at line 1, column 1",
    ),
]


@pytest.mark.parametrize(("body", "code", "text"), MALFORMED)
def test_a_body_that_cannot_be_read(body, code, text):
    with pytest.raises(MalformedBody, match=f"^{re.escape(text)}$") as caught:
        decoded(body)
    assert caught.value.code == code
    assert caught.value.field is None


INK = "want a number from 0 to 255"
PICTURE = "want a list of 784 numbers or of 28 rows of 28"
ROW = "want a row of 28 numbers"
CHANNEL = "want a list of one number, as those before it"
ONE = 'want the pixels of one: "instances" takes a list of pictures'
LISTED = "want a list of pictures; a list of one picture is [[784 numbers]]"
TYPED = "; JSON.stringify makes an object of a typed array, such as Uint8Array: Array.from(array) makes a list of it"
MEANING = "the value that means full ink"
SCALES = f"want a number from 1e-300 to 1e+300, {MEANING}"
KEYS = 'is not known here, want "pixels" or "instances", and "scale"'

WRONG_BODIES = [
    ([FLAT], "wrong_type", "the body is a list of 1, want an object"),
    (7, "wrong_type", "the body is 7, want an object"),
    (None, "wrong_type", "the body is null, want an object"),
    ("7", "wrong_type", 'the body is "7" (a string), want an object'),
    ({}, "missing_field", 'the body has neither "pixels" nor "instances", want one of them'),
    ({"scale": 1}, "missing_field", 'the body has neither "pixels" nor "instances", want one of them'),
    (
        {"pixels": FLAT, "instances": [FLAT]},
        "conflicting_fields",
        'the body has both "pixels" and "instances", want one of them',
    ),
]


@pytest.mark.parametrize(("request_", "code", "text"), WRONG_BODIES)
def test_a_body_that_asks_nothing_is_shown_what_one_looks_like(request_, code, text):
    with pytest.raises(WrongValue, match=f"^{re.escape(f'{text}: {PREDICT_FORM.wanted}')}$") as caught:
        decoded(request_)
    assert (caught.value.code, caught.value.field, caught.value.wanted) == (code, None, PREDICT_FORM.wanted)


def test_an_unknown_field_is_named():
    for name, shown in (("pixel", "pixel"), ('in"vert' + "x" * 90, 'in"vert' + "x" * 32 + "…")):
        with pytest.raises(WrongValue, match=f"^{re.escape(f'{quoted(shown)} {KEYS}')}$") as caught:
            decoded({"pixels": FLAT, name: True})
        assert (caught.value.code, caught.value.field) == ("unknown_field", shown)


@pytest.mark.parametrize("name", ["model", "version", "fields", "coverage", "ink", "read"])
def test_a_query_parameter_in_the_body_is_told_where_it_goes(name):
    with pytest.raises(WrongValue, match=f"^{re.escape(f'{quoted(name)} {KEYS}; it goes in the URL: ?{name}=…')}$"):
        decoded({"pixels": FLAT, name: "x"})


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


IMAGE_TEXT = "; an image file is sent as it is, not as a text: POST /predict with Content-Type: image/png, or a form"
AXIS = "; the axis of channels goes last, [28][28][1], or is left out"

WRONG = [
    (
        {"pixels": "data:image/png;base64,iVBO"},
        "wrong_type",
        "pixels",
        f'is "data:image/png;base64,iVBO" (a string), {PICTURE}{IMAGE_TEXT}',
    ),
    ({"pixels": "iVBORw0KGgoA"}, "wrong_type", "pixels", f'is "iVBORw0KGgoA" (a string), {PICTURE}{IMAGE_TEXT}'),
    ({"instances": ["/9j/4AAQ"]}, "wrong_type", "instances[0]", f'is "/9j/4AAQ" (a string), {PICTURE}{IMAGE_TEXT}'),
    (
        {"pixels": [0] * 3136},
        "wrong_length",
        "pixels",
        f"has 3136 pixels, want {FORM}; they are 4 numbers for each pixel, as of RGBA, or 4 pictures",
    ),
    (
        {"instances": [FLAT, [0] * 2352]},
        "wrong_length",
        "instances[1]",
        f"has 2352 pixels, want {FORM}; they are 3 numbers for each pixel, as of RGB, or 3 pictures",
    ),
    ({"instances": [[NESTED]]}, "wrong_length", "instances[0]", f"has 1 row, want 28 rows of 28 pixels{AXIS}"),
    (
        {"instances": [FLAT, [NESTED] * 3]},
        "wrong_length",
        "instances[1]",
        f"has 3 rows, want 28 rows of 28 pixels{AXIS}",
    ),
    ({"pixels": FLAT, "scale": True}, "wrong_type", "scale", f"is true (a boolean), want a number, {MEANING}"),
    ({"pixels": FLAT, "scale": "255"}, "wrong_type", "scale", f'is "255" (a string), want a number, {MEANING}'),
    ({"pixels": FLAT, "scale": None}, "wrong_type", "scale", f"is null, want a number, {MEANING}"),
    ({"pixels": FLAT, "scale": [255]}, "wrong_type", "scale", f"is a list of 1, want a number, {MEANING}"),
    ({"pixels": FLAT, "scale": 0}, "out_of_range", "scale", f"is 0, {SCALES}"),
    ({"pixels": FLAT, "scale": -1}, "out_of_range", "scale", f"is -1, {SCALES}"),
    ({"pixels": FLAT, "scale": 5e-324}, "out_of_range", "scale", f"is 5e-324, {SCALES}"),
    # one picture, flat
    ({"pixels": FLAT[:-1]}, "wrong_length", "pixels", f"has 783 pixels, want {FORM}"),
    ({"pixels": [*FLAT, 0]}, "wrong_length", "pixels", f"has 785 pixels, want {FORM}"),
    ({"pixels": []}, "wrong_length", "pixels", f"has 0 pixels, want {FORM}"),
    ({"pixels": [0]}, "wrong_length", "pixels", f"has 1 pixel, want {FORM}"),
    ({"pixels": None}, "wrong_type", "pixels", f"is null, {PICTURE}"),
    ({"pixels": 5}, "wrong_type", "pixels", f"is 5, {PICTURE}"),
    ({"pixels": "784"}, "wrong_type", "pixels", f'is "784" (a string), {PICTURE}'),
    ({"pixels": {"a": 1}}, "wrong_type", "pixels", f"is an object, {PICTURE}"),
    ({"pixels": {"0": 1, "1": 2}}, "wrong_type", "pixels", f"is an object, {PICTURE}{TYPED}"),
    ({"pixels": {"type": "Buffer", "data": FLAT}}, "wrong_type", "pixels", f"is an object, {PICTURE}{TYPED}"),
    ({"pixels": [{"0": 1}] * 28}, "wrong_length", "pixels", f"has 28 pixels, want {FORM}"),
    ({"pixels": [*NESTED[:3], {"0": 1}, *NESTED[4:]]}, "wrong_type", "pixels[3]", f"is an object, {ROW}{TYPED}"),
    (pixels(17, "7"), "wrong_type", "pixels[17]", f'is "7" (a string), {INK}'),
    (pixels(17, True), "wrong_type", "pixels[17]", f"is true (a boolean), {INK}"),
    (pixels(17, False), "wrong_type", "pixels[17]", f"is false (a boolean), {INK}"),
    (pixels(783, None), "wrong_type", "pixels[783]", f"is null, {INK}"),
    (pixels(0, {}), "wrong_type", "pixels[0]", f"is an object, {INK}"),
    (pixels(1, [0]), "wrong_type", "pixels[1]", f"is a list of 1, {INK}"),
    (pixels(1, []), "wrong_type", "pixels[1]", f"is an empty list, {INK}"),
    (pixels(1, "x" * 60), "wrong_type", "pixels[1]", f'is "{"x" * 39}…" (a string), {INK}'),
    (pixels(2, -1), "out_of_range", "pixels[2]", f"is -1, {INK}"),
    (pixels(2, 256), "out_of_range", "pixels[2]", f"is 256, {INK}"),
    (pixels(2, 255.5), "out_of_range", "pixels[2]", f"is 255.5, {INK}"),
    (pixels(2, -1e-9), "out_of_range", "pixels[2]", f"is -1e-09, {INK}"),
    (pixels(2, 2**63), "out_of_range", "pixels[2]", f"is 9223372036854775808, {INK}"),
    (pixels(2, 2**64), "out_of_range", "pixels[2]", f"is 1.8446744073709552e+19, {INK}"),
    (pixels(2, 10**30), "out_of_range", "pixels[2]", f"is 1e+30, {INK}"),
    ({"pixels": FLAT, "scale": 1}, "out_of_range", "pixels[2]", "is 2, want a number from 0 to 1"),
    ({"pixels": [0.7] * 784, "scale": 0.5}, "out_of_range", "pixels[0]", "is 0.7, want a number from 0 to 0.5"),
    # one picture, nested
    ({"pixels": [FLAT]}, "wrong_length", "pixels", f"has 1 picture, {ONE}"),
    ({"pixels": [FLAT, FLAT[:-1]]}, "wrong_length", "pixels", f"has 2 pictures, {ONE}"),
    ({"pixels": [NESTED] * 3}, "wrong_length", "pixels", f"has 3 pictures, {ONE}"),
    ({"pixels": [NESTED] * 28}, "wrong_length", "pixels", f"has 28 pictures, {ONE}"),
    ({"pixels": [CHANNELS] * 2}, "wrong_length", "pixels", f"has 2 pictures, {ONE}"),
    ({"pixels": [[[0]]]}, "wrong_length", "pixels", "has 1 row, want 28 rows of 28 pixels"),
    ({"pixels": NESTED[:-1]}, "wrong_length", "pixels", "has 27 rows, want 28 rows of 28 pixels"),
    ({"pixels": [*NESTED[:-1], [0] * 27]}, "wrong_length", "pixels[27]", "has 27 pixels, want 28"),
    ({"pixels": [[0] * 27, [0] * 29, *NESTED[2:]]}, "wrong_length", "pixels[0]", "has 27 pixels, want 28"),
    ({"pixels": [*NESTED[:-1], 0]}, "wrong_type", "pixels[27]", "is 0, want a row of 28 numbers"),
    ({"pixels": [*NESTED[:-1], "0"]}, "wrong_type", "pixels[27]", 'is "0" (a string), want a row of 28 numbers'),
    (pixels(5, 3, "7", picture=NESTED), "wrong_type", "pixels[5][3]", f'is "7" (a string), {INK}'),
    (pixels(5, 3, True, picture=NESTED), "wrong_type", "pixels[5][3]", f"is true (a boolean), {INK}"),
    (pixels(5, 3, [7], picture=NESTED), "wrong_type", "pixels[5][3]", f"is a list of 1, {INK}"),
    ({"pixels": NESTED, "scale": 1}, "out_of_range", "pixels[0][2]", "is 2, want a number from 0 to 1"),
    # one picture, 28 x 28 x 1
    (pixels(5, 3, 7, picture=CHANNELS), "wrong_type", "pixels[5][3]", f"is 7, {CHANNEL}"),
    (
        pixels(5, 3, [7, 7], picture=CHANNELS),
        "wrong_length",
        "pixels[5][3]",
        "has 2 numbers, want 1: pictures are grey",
    ),
    (pixels(5, 3, 0, 256, picture=CHANNELS), "out_of_range", "pixels[5][3]", f"is 256, {INK}"),
    ({"pixels": [[[0] * 3] * 28] * 28}, "wrong_length", "pixels[0][0]", "has 3 numbers, want 1: pictures are grey"),
    # a list of pictures
    ({"instances": FLAT}, "wrong_type", "instances", f"has the pixels of one picture, {LISTED}"),
    ({"instances": NESTED}, "wrong_type", "instances", f"has the pixels of one picture, {LISTED}"),
    ({"instances": CHANNELS}, "wrong_type", "instances", f"has the pixels of one picture, {LISTED}"),
    ({"instances": {"0": FLAT}}, "wrong_type", "instances", f"is an object, want a list of pictures{TYPED}"),
    ({"instances": [FLAT, {"0": 1}]}, "wrong_type", "instances[1]", f"is an object, {PICTURE}{TYPED}"),
    ({"instances": []}, "empty", "instances", "is empty, want at least one picture"),
    ({"instances": None}, "wrong_type", "instances", "is null, want a list of pictures"),
    ({"instances": 784}, "wrong_type", "instances", "is 784, want a list of pictures"),
    ({"instances": FLAT[:10]}, "wrong_type", "instances[0]", f"is 0, {PICTURE}"),
    ({"instances": [784]}, "wrong_type", "instances[0]", f"is 784, {PICTURE}"),
    ({"instances": [FLAT, "784"]}, "wrong_type", "instances[1]", f'is "784" (a string), {PICTURE}'),
    ({"instances": [FLAT, {"pixels": FLAT}]}, "wrong_type", "instances[1]", f"is an object, {PICTURE}"),
    ({"instances": [FLAT] * 3 + [FLAT[1:]]}, "wrong_length", "instances[3]", f"has 783 pixels, want {FORM}"),
    ({"instances": [FLAT, []]}, "wrong_length", "instances[1]", f"has 0 pixels, want {FORM}"),
    ({"instances": [FLAT, FLAT[1:], [*FLAT, 0]]}, "wrong_length", "instances[1]", f"has 783 pixels, want {FORM}"),
    ({"instances": [FLAT, changed(FLAT, 9, True)]}, "wrong_type", "instances[1][9]", f"is true (a boolean), {INK}"),
    ({"instances": [FLAT, changed(FLAT, 9, 300)]}, "out_of_range", "instances[1][9]", f"is 300, {INK}"),
    ({"instances": [NESTED, changed(NESTED, 5, 3, -0.5)]}, "out_of_range", "instances[1][5][3]", f"is -0.5, {INK}"),
    ({"instances": [[[0]] * 28]}, "wrong_length", "instances[0][0]", "has 1 pixel, want 28"),
]


@pytest.mark.parametrize(("request_", "code", "field", "text"), WRONG)
def test_a_value_that_is_wrong_is_named_with_what_was_found_and_what_is_wanted(request_, code, field, text):
    with pytest.raises(WrongValue, match=f"^{re.escape(f'{field} {text}')}$") as caught:
        decoded(request_)
    error = caught.value
    assert (error.code, error.field) == (code, field)
    assert error.found
    assert error.wanted


def test_an_unmentioned_boolean_is_found_among_floats_too():
    """`array` and `numpy` take true for 1.0: the values are looked at one by one when the body has a boolean."""
    with pytest.raises(WrongValue, match=r"^pixels\[700\] is true \(a boolean\), want a number from 0 to 1$"):
        decoded({"pixels": [0.5] * 700 + [True] + [0.5] * 83, "scale": 1})


def test_zeros_made_of_integers_do_not_pass_for_pictures():
    """bytes(784) is a picture's worth of zeros: an integer where a list belongs must not become one."""
    for request in ({"pixels": 784}, {"instances": [784]}, {"pixels": [28] * 28}, {"instances": [[28] * 28]}):
        with pytest.raises(WrongValue):
            decoded(request)


def test_more_pictures_than_allowed_are_refused():
    assert len(decoded({"instances": [FLAT] * 16}).images) == 16
    with pytest.raises(TooLarge, match=r"^instances has 17 pictures, want at most 16 in a request$") as caught:
        decoded({"instances": [FLAT] * 17})
    assert caught.value.code == "too_many_pictures"
    assert caught.value.field == "instances"


def test_values_are_rounded_and_not_cut():
    assert decoded({"pixels": [0.4, 0.6, 254.4, 254.6] * 196}).images[0, 0, :4].tolist() == [0, 1, 254, 255]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, max_examples=examples(150))
@given(json_values, st.integers(0, 783), st.sampled_from([None, 1, 255, 3.5]), st.booleans())
def test_one_strange_value_in_a_picture_is_taken_as_a_number_or_named(value, position, scale, nested):
    place = (position // 28, position % 28) if nested else (position,)
    picture = [[0] * 28 for _ in range(28)] if nested else [0] * 784
    request = {"pixels": changed(picture, *place, value), **({} if scale is None else {"scale": scale})}
    good = type(value) in (int, float) and 0 <= value <= (scale or 255)
    if good:
        assert decoded(request).images.ravel()[position] == np.rint(value * 255 / (scale or 255))
    else:
        with pytest.raises(RequestError):
            decoded(request)


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("token", "found"),
    [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity"), ("1e999", "Infinity"), (HUGE, "Infinity")],
)
def test_what_is_no_finite_number_is_refused_with_its_place(token, found):
    """JSON has no word for them, but Python's own encoder and many others write them all the same."""
    pixels = ", ".join(["0"] * 17 + [token] + ["0"] * 766)
    with pytest.raises(WrongValue) as refusal:
        decode_json(f'{{"instances": [[{pixels}]]}}'.encode(), limit_rows=10)
    assert str(refusal.value) == f"instances[0][17] is {found}, want a number from 0 to 255"
    with pytest.raises(WrongValue, match=f"scale is {found}, want a number from"):
        decode_json(f'{{"pixels": [{pixels}], "scale": {token}}}'.encode(), limit_rows=10)


@pytest.mark.parametrize("body", ['{"scale": NaN, "scale": 255, "pixels": %s}', '{"pixels": NaN, "pixels": %s}'])
def test_a_body_that_is_not_json_is_refused_although_its_last_word_on_each_field_is_right(body):
    with pytest.raises(MalformedBody, match="the body is not valid JSON"):
        decode_json((body % FLAT).encode(), limit_rows=10)


@pytest.mark.parametrize(
    "body",
    ['{"\\ud800": NaN}', '{"pixels": "\\ud800 NaN"}', '{"pixels": %s, "scale": "\\ud800 Infinity"}', "\ud800 NaN"],
)
def test_half_a_surrogate_pair_is_the_request_s_fault_and_not_the_service_s(body):
    """orjson takes it for no text, and Python's own parser does: the message must not fail on it."""
    text = body % FLAT if "%s" in body else body
    with pytest.raises((MalformedBody, WrongValue)) as refusal:
        decode_json(text.encode(errors="surrogatepass"), limit_rows=10)
    for said in (str(refusal.value), refusal.value.field or "", refusal.value.found or ""):
        said.encode()


def test_a_long_body_with_nan_is_refused_without_its_place_so_that_nobody_waits_for_it():
    body = b'{"pixels": [' + b"0," * 200_000 + b"NaN]}"
    with pytest.raises(MalformedBody, match="the body is not valid JSON"):
        decode_json(body, limit_rows=1000)


def test_of_many_pictures_the_wrong_one_is_named():
    pictures = [FLAT] * 300 + [[*FLAT[:-1], 256]] + [FLAT] * 3
    with pytest.raises(WrongValue, match=r"^instances\[300\]\[783\] is 256, want a number from 0 to 255$"):
        decode_json(json.dumps({"instances": pictures}).encode(), limit_rows=1000)
