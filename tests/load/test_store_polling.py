"""The simulation of services that follow a store in object storage, with few of them."""

import asyncio

import pytest

from tests.load.store_polling import Load, simulate
from tests.support.s3 import Request


def test_a_load_counts_the_requests_of_its_time_and_the_busiest_tenth_of_a_second():
    requests = [Request("GET", "/a", status, 500, when_s) for status, when_s in ((200, 0), (200, 1.01), (304, 1.05))]
    requests += [Request("PUT", "/a", 200, 0, 2.5), Request("GET", "/a", 200, 500, 3.0)]
    found = Load.of(requests, 1.0, 3.0)
    assert (found.requests, found.per_s, found.peak_per_s, found.kilobytes_per_s) == (3, 1.5, 20.0, 0.5)
    assert found.answers == {"GET 200": 1, "GET 304": 1, "PUT 200": 1}


class Direct:
    """The simulation's connection with a server in the same process."""

    def __init__(self, server) -> None:
        self._server = server

    def send(self, asked: str) -> None:
        self._asked = asked

    def recv(self):
        return self._server.requests if self._asked == "requests" else 0.0


@pytest.mark.parametrize("in_step", [False, True])
def test_followers_that_find_nothing_new_get_no_bodies_and_all_follow_a_promotion(s3, s3_url, tmp_path, in_step):
    outcome = asyncio.run(simulate(tmp_path, Direct(s3), 5, 0.2, 1.0, in_step=in_step, url=s3_url))
    assert set(outcome.idle.answers) == {"GET 304"}
    assert outcome.idle.requests >= 5
    assert outcome.idle.kilobytes_per_s == 0
    assert 0 < outcome.followed_s[0] <= outcome.followed_s[2]
