"""Compressed request bodies: gzip and deflate are decompressed within a size limit."""

import gzip
import random
import time
import tracemalloc
import zlib

import pytest

from service.errors import MalformedBody, TooLarge, WrongMediaType
from service.http.compression import LIMIT_MEMBERS, SLICE_BYTES, check_encoding, inflate

TEXT = b'{"pixels": [0, 1, 2]}' * 100


def bare(text):
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(text) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("x-gzip", gzip.compress(TEXT, mtime=0)),
        ("gzip", gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare(TEXT)),
    ],
    ids=["gzip", "x-gzip", "gzip of two members", "zlib", "bare deflate"],
)
def test_what_was_compressed_comes_out_again(encoding, body):
    check_encoding(encoding)
    assert inflate(body, encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize(
    "body", [gzip.compress(TEXT, mtime=0), gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0)]
)
def test_one_byte_more_than_allowed_is_too_much(body):
    with pytest.raises(TooLarge, match=r"^the body inflates to more than 2099 bytes, want at most 2099$"):
        inflate(body, "gzip", len(TEXT) - 1)


def test_a_bomb_does_not_fill_the_memory():
    bomb = gzip.compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            inflate(bomb, "gzip", 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", TEXT, "the body is not valid gzip: Error -3 while decompressing data: incorrect header check"),
        ("gzip", b"", "the body is not valid gzip: it is cut short"),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-1], "the body is not valid gzip: it is cut short"),
        ("gzip", gzip.compress(TEXT, mtime=0) + b"more", "the body is not valid gzip: "),
        ("deflate", zlib.compress(TEXT) + b"more", "the body is not valid deflate: something follows its end"),
        ("deflate", zlib.compress(TEXT)[:-1], "the body is not valid deflate: it is cut short"),
    ],
)
def test_a_damaged_body_is_refused(encoding, body, message):
    with pytest.raises(MalformedBody) as refused:
        inflate(body, encoding, 10_000)
    assert str(refused.value).startswith(message)


def test_members_come_out_one_after_the_other_wherever_they_are_cut_into_slices():
    texts = [random.Random(size).randbytes(size) for size in (0, 1, SLICE_BYTES - 30, 65_280, 3 * SLICE_BYTES, 0)]
    for padding in range(40):  # so that ends and beginnings lie on both sides of the end of a slice
        body = b"".join(gzip.compress(text, 0) for text in [bytes(padding), *texts])
        assert inflate(body, "gzip", 10**6) == bytes(padding) + b"".join(texts)


def test_a_body_of_as_many_members_as_allowed_is_read_and_of_one_more_refused():
    body = gzip.compress(b"") * (LIMIT_MEMBERS - 1) + gzip.compress(b"7")
    assert inflate(body, "gzip", 1) == b"7"
    with pytest.raises(MalformedBody, match=r"^the body has more than 4096 gzip members, want at most 4096$"):
        inflate(body + gzip.compress(b""), "gzip", 1)


def test_many_members_take_no_time():
    """Each once copied all that followed it: 12 MB of them took minutes, and the service could not be stopped."""
    empty = gzip.compress(b"")
    first_s = time.thread_time()
    with pytest.raises(MalformedBody):
        inflate(empty * (2**24 // len(empty)), "gzip", 2**24)
    large = gzip.compress(random.Random(0).randbytes(2**24 - 5000 * len(empty)), 0)
    inflate(empty * (LIMIT_MEMBERS - 1) + large, "gzip", 2**24)
    assert time.thread_time() - first_s < 1


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "identity;q=1"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(WrongMediaType) as refused:
        check_encoding(encoding)
    assert str(refused.value) == f"Content-Encoding is {encoding}, want gzip, deflate, or the body as it is"
