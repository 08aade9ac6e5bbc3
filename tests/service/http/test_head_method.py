"""HEAD works wherever GET does, and a refused method is told all methods of the path."""

import http.client

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from tests.support.application import app_with, client_of, path_of, served
from tests.support.fake_predictor import FakePredictor
from tests.support.keys import AUTHORIZATION

pytestmark = pytest.mark.anyio
OWN = {"x-request-id", "date"}
"""Headers that differ from request to request."""


@pytest.fixture(scope="module")
def app(tmp_path_factory, keys_file):
    url = f"sqlite:///{tmp_path_factory.mktemp('head')}/feedback.sqlite3"
    return app_with(FakePredictor(), keys_file=keys_file, feedback_url=url)


def paths_with(app, method):
    names = {"model": "lenet", "name": "lenet", "version": "3", "label": "champion", "verb": "classify"}
    return sorted(
        {path_of(route.path, **names) for route in iter_route_contexts(app.routes) if method in (route.methods or ())}
    )


def test_head_has_the_headers_of_get_and_no_body(app):
    """Over one connection: a body would be taken for the next answer."""
    files = ["/page/page.js", "/static-offline-docs/swagger-ui.css", "/page/nothing", "/nothing", "/readyz?verbose"]
    with served(app) as (host, port):
        connection = http.client.HTTPConnection(host, port, timeout=30)
        for path in [*paths_with(app, "GET"), *files]:
            found = []
            for method in ("GET", "HEAD"):
                connection.request(method, path, headers=AUTHORIZATION)
                answer = connection.getresponse()
                headers = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in OWN}
                body = answer.read()
                found.append((answer.status, headers))
                if path == "/metrics":
                    headers.pop("content-length")  # it has counted the GET
                elif method == "GET":
                    assert int(headers["content-length"]) == len(body), path
                if method == "HEAD":
                    assert body == b"", path
            assert found[0] == found[1], path
        connection.close()


def test_an_unchanged_file_is_304_for_head_as_well(app):
    with served(app) as (host, port):
        url = f"http://{host}:{port}/page/page.js"
        etag = httpx.get(url).headers["ETag"]
        assert httpx.head(url, headers={"If-None-Match": etag}).status_code == 304


async def test_head_is_405_where_only_post_is_possible(app):
    async with client_of(app) as client:
        for path in ("/predict", "/v1/models/lenet:predict", "/v2/models/lenet/infer", "/manage/reload"):
            refused = await client.head(path)
            assert (refused.status_code, refused.headers["Allow"]) == (405, "POST"), path


async def test_a_refused_method_is_told_all_that_the_path_has(app):
    """FastAPI tells of the first route alone: `/feedback` has two."""
    async with client_of(app) as client:
        for path, allowed in {
            "/feedback": "GET, HEAD, POST",
            "/models": "GET, HEAD",
            "/": "GET, HEAD",
            "/docs": "GET, HEAD",
            "/openapi.json": "GET, HEAD",
            "/page/page.js": "GET, HEAD",
            "/static-offline-docs/swagger-ui.css": "GET, HEAD",
            "/predict": "POST",
        }.items():
            refused = await client.delete(path)
            assert (refused.status_code, refused.headers["Allow"]) == (405, allowed), path
            assert refused.json()["error"]["message"] == f"DELETE is not possible at {path}, want {allowed}"


async def test_head_is_counted_by_its_own_name():
    async with client_of(app_with(FakePredictor())) as client:
        await client.head("/models/lenet/versions/3")
        text = (await client.get("/metrics")).text
    labels = 'method="HEAD",route="/models/{name}/versions/{version}",status="200"'
    assert f"digits_request_duration_seconds_count{{{labels}}} 1.0" in text


async def test_a_head_wants_the_key_that_a_get_wants(keys_file):
    async with client_of(app_with(FakePredictor(), keys_file=keys_file, require_key="predict")) as client:
        assert (await client.head("/models")).status_code == 401
        assert (await client.head("/models", headers=AUTHORIZATION)).status_code == 200
        assert (await client.head("/healthz")).status_code == 200
