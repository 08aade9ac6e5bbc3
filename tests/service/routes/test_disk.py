"""No request touches the disk on the thread of the event loop: a disk that hangs would stop all other requests."""

import io
import os
import threading

import pytest
from fastapi.routing import iter_route_contexts

from tests.support.application import app_with, client_of, path_of
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.keys import AUTHORIZATION

pytestmark = pytest.mark.anyio
TOUCHING = [(io, "open"), *((os, name) for name in ("open", "stat", "lstat", "scandir", "listdir", "unlink"))]
CORRECTION = {"pixels": picture(7).ravel().tolist(), "digit": 7}


async def test_the_event_loop_touches_no_file_during_a_request(keys_file, tmp_path, monkeypatch):
    app = app_with(
        FakePredictor(),
        keys_file=keys_file,
        require_key="predict",
        feedback_url=f"sqlite:///{tmp_path}/feedback.sqlite3",
    )
    paths = [path_of(route.path, path="page.js") for route in iter_route_contexts(app.routes)]
    loop, touched, path = threading.current_thread(), [], ""

    def watched(function):
        def watching(*arguments, **options):
            if threading.current_thread() is loop and path:
                touched.append((path, arguments[:1]))
            return function(*arguments, **options)

        return watching

    async def request_all(client):
        nonlocal path
        for path in [*paths, "/page/page.js", "/static-offline-docs/swagger-ui.css", "/readyz?verbose"]:
            if path != "/metrics":  # the numbers of this process, from /proc
                for method in ("GET", "POST", "DELETE"):
                    await client.request(method, path, json=CORRECTION, headers=AUTHORIZATION)
        path = ""

    async with client_of(app) as client:
        await request_all(client)  # libraries read their own files at their first use
        for module, name in TOUCHING:
            monkeypatch.setattr(module, name, watched(getattr(module, name)))
        await request_all(client)
    assert touched == []
