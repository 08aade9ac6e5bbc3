"""What somebody without a key can read where predictions want one: no version, no refusal, no path of the server."""

import pytest
from fastapi.routing import iter_route_contexts

from service.auth.middleware import METRICS
from service.http.error_schemas import ERRORS
from tests.support.application import app_following, client_of, path_of
from tests.support.fake_predictor import FakePredictor
from tests.support.keys import AUTHORIZATION
from tests.support.shelf import Shelf
from training.store import StoreError

pytestmark = pytest.mark.anyio
FOLDER = "/srv/inner/checkpoints"


def guarded(keys_file, **settings):
    """A service that wants keys for predictions, with a loaded version 41 and a refused one, 42."""
    shelf = Shelf({"lenet": {41: FakePredictor(version=41), 42: StoreError(f"{FOLDER}/lenet/42 is torn")}})
    shelf.policy = "all"
    return app_following(shelf, keys_file=keys_file, require_key="predict", poll_interval_s=0, **settings)


async def test_verbose_readiness_wants_a_key_where_predictions_do(keys_file):
    async with client_of(guarded(keys_file)) as client:
        plain = await client.get("/readyz")
        assert (plain.status_code, plain.json()) == (200, {"status": "ready"})
        for query in ("verbose", "verbose=1", "a=b&verbose", "%76erbose"):
            refused = await client.get(f"/readyz?{query}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "missing_key"), query
            assert refused.json()["error"]["code"] in ERRORS[401][1]
        told = (await client.get("/readyz?verbose", headers=AUTHORIZATION)).json()
    assert [version["version"] for version in told["models"]] == [41]
    assert FOLDER in told["refused"][0]["reason"]


@pytest.mark.parametrize("ready", [True, False])
async def test_no_answer_without_a_key_names_a_version_a_refusal_or_a_path(keys_file, ready):
    """Any method at any route; the metrics have a right of their own, `metrics`."""
    app = guarded(keys_file)
    paths = {path_of(route.path, version="41") for route in iter_route_contexts(app.routes)} - {METRICS}
    assert {"/readyz", "/manage/reload", "/v1/models/lenet/versions/41", "/v2/repository/index"} <= paths
    async with client_of(app) as client:
        if not ready:
            app.service.registry.drain()
        for path in [*sorted(paths), "/nothing", "/readyz?verbose", "/v2/health/ready?verbose"]:
            for method in ("GET", "POST", "HEAD", "DELETE"):
                answer = await client.request(method, path, headers={"Content-Type": "application/json"})
                told = "\n".join([answer.text, *answer.headers.values()])
                for secret in (FOLDER, "torn", '"version":', '"model_version"', "version 41", "version 42"):
                    if path.startswith(("/openapi", "/docs", "/redoc", "/static-offline-docs")) and '"' in secret:
                        continue  # they tell of fields
                    assert secret not in told, (method, path)
