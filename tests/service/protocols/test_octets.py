"""Pictures as octets: how many a body has, as far as its headers say."""

import pytest

from service.protocols.octets import count_pictures


@pytest.mark.parametrize(
    ("headers", "rows"),
    [
        ({b"content-length": b"3136"}, 4),
        ({b"content-length": b"784"}, 1),
        ({b"content-length": b"3135"}, 3),  # the body will be refused
        ({b"content-length": b"0"}, 1),
        ({}, 1),
        ({b"content-length": b"3920"}, 1),  # more than the limit is another error than a full queue
        ({b"content-length": b"9" * 5000}, 1),
        ({b"content-length": "٣".encode()}, 1),
        ({b"content-length": b"3136", b"content-encoding": b"gzip"}, 1),
    ],
)
def test_a_content_length_says_how_many_pictures_come_unless_they_are_compressed_or_too_many(headers, rows):
    assert count_pictures(headers, limit_rows=4) == rows
