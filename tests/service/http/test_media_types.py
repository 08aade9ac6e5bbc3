"""Content negotiation: the media type of an answer follows the Accept header."""

import pytest

from service.errors import NotAcceptable
from service.http.media_types import JSON, NPY, OCTETS, type_of_answer


def asking(accept):
    return {b"accept": accept.encode()} if accept is not None else {}


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("", JSON),
        (" , ", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("application/octet-stream", OCTETS),
        ("application/x-npy", NPY),
        ("Application/X-NPY", NPY),
        ("application/x-npy, application/json", JSON),
        ("application/json;q=0.5, application/x-npy;q=0.9", NPY),
        ("application/json;q=0.5, application/*", OCTETS),
        ("application/json; q=0, */*", OCTETS),
        ("application/octet-stream;level=1;q=x", OCTETS),
    ],
)
def test_the_kind_of_answer_is_the_one_that_is_liked_best(accept, answer):
    assert type_of_answer(asking(accept)) == answer


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*, text/*"])
def test_whoever_takes_none_is_told_what_there_is(accept):
    with pytest.raises(NotAcceptable) as refused:
        type_of_answer(asking(accept))
    wanted = "application/json, application/octet-stream or application/x-npy"
    assert str(refused.value) == f"Accept is {accept}, want {wanted}"
