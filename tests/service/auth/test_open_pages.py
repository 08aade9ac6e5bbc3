"""The page and the documentation are open where predictions want a key, and the documentation says what wants one."""

from __future__ import annotations

import pytest

from service.http.error_schemas import ERRORS
from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor
from tests.support.keys import AUTHORIZATION

pytestmark = pytest.mark.anyio


def guarded(keys_file):
    return app_with(FakePredictor(), keys_file=keys_file, require_key="predict,metrics")


async def test_the_page_the_documentation_and_their_files_are_open_and_nothing_beside_them_is(keys_file):
    async with client_of(guarded(keys_file)) as client:
        index, docs = await client.get("/"), await client.get("/docs")
        for path in (
            *("/", "/page/page.js", "/page/key.js", "/page/page.css", "/page/icon.svg", "/favicon.ico"),
            *("/docs", "/redoc", "/openapi.json"),
            *("/static-offline-docs/swagger-ui-bundle.js", "/static-offline-docs/swagger-ui.css"),
        ):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/page", "/pages/x", "/docs/", "/docs/x", "/openapi.json/x", "/static-offline-docs", "/x"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.get("/page/../models")).status_code == 401  # httpx resolves it
        assert (await client.get("/page/%2e%2e/models")).status_code == 404
    assert 'src="page/page.js"' in index.text
    assert "swagger-ui-bundle.js" in docs.text


def test_the_documentation_says_which_operations_want_a_key(keys_file):
    document = guarded(keys_file).openapi()
    scheme = document["components"]["securitySchemes"]["HTTPBearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    health = {"/healthz", "/v2/health/live", "/v2/health/ready"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            wanted = None if path in health else [{}, {"HTTPBearer": []}] if path == "/readyz" else [{"HTTPBearer": []}]
            assert operation.get("security") == wanted, path
            refusals = operation["responses"].keys() & {"401", "403"}
            assert refusals == (set() if wanted is None else {"401", "403"}), path
            for status in refusals:
                schema = operation["responses"][status]["content"]["application/json"]["schema"]["$ref"]
                assert schema.rpartition("/")[2] == ("PlainError" if path.startswith("/v") else "ErrorAnswer"), path


def test_without_keys_for_predictions_the_documentation_wants_them_for_management_alone(keys_file):
    document = app_with(FakePredictor(), keys_file=keys_file).openapi()
    closed = {path for path, operations in document["paths"].items() for o in operations.values() if "security" in o}
    assert closed == {
        "/manage/reload",
        "/feedback",
        *(f"/v2/repository/models/{{model}}/{how}" for how in ("load", "unload")),
    }


@pytest.mark.parametrize("path", ["/models", "/v2/models/lenet", "/metrics", "/readyz?verbose"])
async def test_the_answer_without_a_key_is_the_documented_one(keys_file, path):
    app = guarded(keys_file)
    async with client_of(app) as client:
        answer = await client.get(path)
        assert answer.status_code == 401
        assert (await client.get(path, headers=AUTHORIZATION)).status_code == 200
    error = answer.json()["error"]
    assert isinstance(error, str) if path.startswith("/v2") else error["code"] in ERRORS[401][1]
