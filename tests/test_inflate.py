import gzip
import tracemalloc
import zlib

import pytest

from service.errors import MalformedBody, TooLarge, WrongMediaType
from service.inflate import check_encoding, inflate

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


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "identity;q=1"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(WrongMediaType) as refused:
        check_encoding(encoding)
    assert str(refused.value) == f"Content-Encoding is {encoding}, want gzip, deflate, or the body as it is"
