"""Bodies of raw bytes and NumPy's `.npy` files, with every malformed header refused."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import MalformedBody, RequestError, TooLarge, WrongValue
from service.http.error_responses import encode_problem
from service.protocols.native.npy import decode_npy
from service.protocols.octets import decode_octets
from tests.support.examples import examples

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **options)
    return file.getvalue()


def npy_of(header, content=b"", version=b"\x01\x00"):
    text = header.encode("latin-1", "backslashreplace").ljust(118) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + content


def test_bytes_are_pictures_and_always_a_list_of_them():
    images, many = decode_octets(PICTURES.tobytes(), limit_rows=3)
    assert (images == PICTURES).all()
    assert many
    assert decode_octets(PICTURES[0].tobytes(), limit_rows=3).many


def test_bytes_are_not_copied():
    body = PICTURES.tobytes()
    assert np.shares_memory(decode_octets(body, limit_rows=3).images, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "empty", "the body has 0 bytes, want a multiple of 784 (28 x 28, row by row, for a picture)"),
        (
            bytes(783),
            "wrong_length",
            "the body has 783 bytes, want a multiple of 784 (28 x 28, row by row, for a picture)",
        ),
        (
            b"\x89PNG\r\n\x1a\n",
            "wrong_length",
            "the body has 8 bytes, want a multiple of 784 (28 x 28, row by row, for a picture); it is an image file, "
            "which POST /predict takes with Content-Type: image/png",
        ),
        (
            b"\0\0\0\x18ftypheic",
            "wrong_length",
            "the body has 12 bytes, want a multiple of 784 (28 x 28, row by row, for a picture); it is image/heic, "
            "save it as JPEG or PNG",
        ),
    ],
)
def test_a_wrong_number_of_bytes_is_refused(body, code, message):
    with pytest.raises(WrongValue) as refused:
        decode_octets(body, limit_rows=3)
    assert (refused.value.code, str(refused.value)) == (code, message)


@pytest.mark.parametrize("decode", [decode_octets, lambda body, **limit: decode_npy(npy(PICTURES), **limit)])
def test_more_pictures_than_allowed_are_refused(decode):
    with pytest.raises(TooLarge, match=r"^the body has 3 pictures, want at most 2 in a request$"):
        decode(PICTURES.tobytes(), limit_rows=2)


@pytest.mark.parametrize(
    "array",
    [
        PICTURES,
        PICTURES.reshape(3, 784),
        PICTURES.astype(">i8"),
        PICTURES.astype(np.float16),
        np.asfortranarray(PICTURES),
        PICTURES[..., None],
    ],
    ids=["28 x 28", "784", "big-endian integers", "halves", "columns first", "28 x 28 x 1"],
)
def test_arrays_of_any_numbers_are_pictures(array):
    images, many = decode_npy(npy(array), limit_rows=3)
    assert (images == PICTURES).all()
    assert images.dtype == np.uint8
    assert many


@pytest.mark.parametrize("array", [PICTURES[0], PICTURES[0].ravel(), PICTURES[0][..., None]])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_an_array_of_one_picture_is_one_picture(array, version):
    images, many = decode_npy(npy(array, version=version), limit_rows=3)
    assert (images == PICTURES[:1]).all()
    assert not many


def test_the_scale_is_the_value_of_full_ink():
    assert (decode_npy(npy(PICTURES / 255.0), limit_rows=3, scale=1.0).images == PICTURES).all()


@pytest.mark.parametrize(
    ("array", "scale", "code", "message"),
    [
        (np.full((2, 784), 1.5), 1.0, "out_of_range", "[0][0] is 1.5, want a number from 0 to 1"),
        (np.full(784, -1), 255.0, "out_of_range", "[0] is -1, want a number from 0 to 255"),
        (np.full(784, np.nan), 255.0, "out_of_range", "[0] is nan, want a number from 0 to 255"),
        (np.full(784, np.inf), 255.0, "out_of_range", "[0] is inf, want a number from 0 to 255"),
        (np.full(784, True), 255.0, "wrong_type", "the array's dtype is bool, want numbers"),
        (np.full(784, 1j), 255.0, "wrong_type", "the array's dtype is complex128, want numbers"),
        (np.full(784, "7"), 255.0, "wrong_type", "the array's dtype is <U1, want numbers"),
        (
            np.zeros((3, 783)),
            255.0,
            "wrong_length",
            "the array has the shape [3, 783], want an array of numbers [n, 784]",
        ),
        (np.zeros(()), 255.0, "wrong_length", "the array has the shape [], want an array of numbers [n, 784]"),
        (np.zeros((1, 1, 28, 28)), 255.0, "wrong_length", "the array has the shape [1, 1, 28, 28], want"),
        (np.zeros((0, 784)), 255.0, "empty", "the array has the shape [0, 784], want an array of numbers [n, 784]"),
    ],
)
def test_an_array_of_something_else_is_named_with_what_was_found(array, scale, code, message):
    with pytest.raises(WrongValue) as refused:
        decode_npy(npy(array), limit_rows=3, scale=scale)
    assert refused.value.code == code
    assert str(refused.value).startswith(message)


def test_pickled_objects_are_refused_unread():
    with pytest.raises(WrongValue, match=r"^the array holds Python objects, want numbers$"):
        decode_npy(npy(np.array([print] * 784, object)), limit_rows=3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty, want an array of numbers"),
        (npy(PICTURES)[:-1], "the body is not a .npy file: its header promises 2352 bytes, and 2351 follow"),
        (npy(PICTURES) + b"x", "the body is not a .npy file: its header promises 2352 bytes, and 2353 follow"),
        (
            npy_of("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 784)}"),
            "the body is not a .npy file: its header promises 28924494707576576933888 bytes, and 0 follow",
        ),
        (
            npy_of("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 784)}", bytes(784)),
            "the body is not a .npy file",
        ),
        (npy_of("__import__('os')"), "the body is not a .npy file: "),
        (npy_of("{}", version=b"\x03\x00"), "the body is not a .npy file: it is of version 3.0"),
        (npy_of("{}", version=b"\x09\x09"), "the body is not a .npy file: "),
    ],
)
def test_what_is_no_npy_file_is_refused(body, message):
    with pytest.raises(MalformedBody) as refused:
        decode_npy(body, limit_rows=3)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("descr", "shape", "kind", "message"),
    [
        ("'|V0'", f"({10**30},)", WrongValue, "the array's dtype is |V0, want numbers"),
        ("'|u1'", f"({10**30},)", WrongValue, f"the array has the shape [{10**30}], want an array of numbers"),
        ("'|u1'", f"(0, {10**30})", WrongValue, f"the array has the shape [0, {10**30}], want an array of numbers"),
        (
            "'|u1'",
            f"({10**30}, 784)",
            MalformedBody,
            f"the body is not a .npy file: its header promises {784 * 10**30}",
        ),
        (
            "'|u1'",
            "(-1, -784)",
            MalformedBody,
            "the body is not a .npy file: its header has the shape [-1, -784], want",
        ),
        (
            "'|u1'",
            "(-1, -1, 784)",
            MalformedBody,
            "the body is not a .npy file: its header has the shape [-1, -1, 784]",
        ),
        ("'|u1'", "(True, 784)", MalformedBody, "the body is not a .npy file: its header has the shape [True, 784], w"),
        ("'|u1'", f"({'1, ' * 65}784)", WrongValue, "the array has the shape [1, 1, 1, "),
        ("'|u1'", f"({f'{10**18}, ' * 400})", WrongValue, f"the array has the shape [{10**18}, {10**18}, "),
        ("('|u1', (784,))", "(1,)", WrongValue, "the array's dtype is ('u1', (784,)), want numbers"),
        ("('|u1', (784,))", "(2,)", WrongValue, "the array's dtype is ('u1', (784,)), want numbers"),
        ("'2u1'", "(392,)", WrongValue, "the array's dtype is ('u1', (2,)), want numbers"),
        ("'784u1'", "(1,)", WrongValue, "the array's dtype is ('u1', (784,)), want numbers"),
        (f"[('{'x' * 5000}', '|u1')]", "(784,)", WrongValue, "the array's dtype is [('xxxxxxxx"),
    ],
)
def test_a_header_that_lies_is_refused(descr, shape, kind, message):
    """Each was a 500 once, or told as many thousand characters as the header had."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"
    with pytest.raises(kind) as refused:
        decode_npy(npy_of(header, bytes(784)), limit_rows=3)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 300


def test_a_number_beyond_64_bits_is_out_of_range():
    with pytest.raises(WrongValue, match=r"^\[0\] is inf, want a number from 0 to 255$"):
        decode_npy(npy(np.full(784, np.longdouble("1e4000"))), limit_rows=3)


sizes = st.sampled_from([0, 1, 2, 28, 784, -1, True, 2**63, 10**30])
anything = sizes | st.integers() | st.floats() | st.none() | st.text(max_size=5) | st.binary(max_size=3)
types = st.sampled_from(
    ["|u1", "<f8", ">i2", "<f2", "<f16", "|b1", "<c8", "|O", "|V0", "|S0", "<U0", "<M8[s]", "2u1", "784u1", "u1,u1"]
)
compounds = st.recursive(
    types,
    lambda kids: (
        st.lists(st.tuples(st.text(max_size=3), kids), max_size=3)
        | st.tuples(kids, st.lists(sizes, max_size=3).map(tuple))
    ),
    max_leaves=4,
)


@st.composite
def headers(draw):
    """Nearly a header: its values perhaps none that an array has, its text perhaps damaged."""
    shape = draw(st.sampled_from([(784,), (28, 28), (1, 784), (2, 28, 28), (0, 784)]))
    if draw(st.booleans()):
        shape = tuple(draw(st.lists(sizes, max_size=4) | st.lists(sizes, min_size=60, max_size=70)))
    header = {"descr": draw(draw(st.sampled_from([types, compounds]))), "fortran_order": draw(st.booleans())}
    header["shape"] = shape
    if not draw(st.integers(0, 9)):
        header[draw(st.sampled_from([*header]))] = draw(anything)
    text = repr(header)
    if not draw(st.integers(0, 9)):
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.text(max_size=2)) + text[cut + draw(st.integers(0, 3)) :]
    return text


@settings(deadline=None, max_examples=examples(300))
@given(headers(), st.sampled_from([0, 1, 784, 1568, 6272]))
def test_any_header_is_read_or_refused(header, length):
    try:
        images, _ = decode_npy(npy_of(header, bytes(length)), limit_rows=3)
    except RequestError as error:
        encode_problem(
            error.code, str(error), error.field, error.found, error.wanted
        )  # which must be text that UTF-8 has
    else:
        assert not images.any()


def test_no_damaged_file_does_more_than_be_refused():
    whole = bytearray(npy(PICTURES[0]))
    for place in range(128):
        for value in (0, 0x27, 0xFF, whole[place] ^ 1):
            damaged = bytes(whole[:place]) + bytes([value]) + bytes(whole[place + 1 :])
            try:
                images, _ = decode_npy(damaged, limit_rows=3)
            except RequestError:
                continue
            assert images.shape == (1, 28, 28)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"PK\3\4" + bytes(99), "it is an archive, as .npz is: send one array of it"),
        (b"no array, and long", "it does not begin as one"),
        (b"\x93NUM", "it does not begin as one"),
        (
            b"\x89PNG\r\n\x1a\n",
            "it does not begin as one; it is an image file, which POST /predict takes with Content-Type: image/png",
        ),
    ],
)
def test_what_is_no_array_is_told_without_words_of_numpy(body, reason):
    """`the magic string is not correct; expected b'\\x93NUMPY', got b'PK\\x03…'` was what clients read."""
    with pytest.raises(MalformedBody) as refused:
        decode_npy(body, limit_rows=3)
    assert str(refused.value) == f"the body is not a .npy file: {reason}"
