"""The service under a path prefix, behind proxies that strip it and proxies that do not."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from service.settings import ServiceSettings
from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture
from tests.support.keys import AUTHORIZATION
from training.errors import DigitsError

pytestmark = pytest.mark.anyio
PIXELS = picture(7).ravel().tolist()
POSTS = {
    "/predict": {"pixels": PIXELS},
    "/v1/models/lenet:predict": {"instances": [PIXELS]},
    "/v2/models/lenet/infer": {"inputs": [{"name": "pixels", "shape": [1, 784], "datatype": "UINT8", "data": PIXELS}]},
}
GETS = ("/", "/page/page.js", "/docs", "/static-offline-docs/swagger-ui.css", "/openapi.json", "/models", "/healthz")


@pytest.mark.parametrize("prefix", ["", "/digits", "/a/b.c"])
@pytest.mark.parametrize("strips", [True, False])
async def test_every_kind_of_route_answers_under_the_prefix(prefix, strips):
    """With the fast path, the files of mounts, and errors in the form of their protocol."""
    before = "" if strips else prefix
    async with client_of(app_with(FakePredictor(), root_path=prefix)) as client:
        for path, body in POSTS.items():
            assert (await client.post(f"{before}{path}", json=body)).status_code == 200, path
        for path in GETS:
            assert (await client.get(f"{before}{path}")).status_code == 200, path
        plain = await client.post(f"{before}/v1/models/nobody:predict", json={})
        assert (plain.status_code, type(plain.json()["error"])) == (404, str)
        native = await client.get(f"{before}/nothing")
        assert (native.status_code, native.json()["error"]["field"]) == (404, "path")


async def test_metrics_have_the_templates_of_routes_without_the_prefix():
    async with client_of(app_with(FakePredictor(), root_path="/digits")) as client:
        await client.post("/digits/predict", json={"pixels": PIXELS})
        await client.post("/predict", json={"pixels": PIXELS})
        await client.get("/digits/models/lenet/versions/3")
        text = (await client.get("/digits/metrics")).text
    counts = {
        sample.labels["route"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "digits_request_duration_seconds_count"
    }
    assert counts == {"/predict": 2, "/models/{name}/versions/{version}": 1}


async def test_keys_are_wanted_under_the_prefix_as_without_it(keys_file):
    app = app_with(FakePredictor(), root_path="/digits", keys_file=keys_file, require_key="predict,metrics")
    async with client_of(app) as client:
        for prefix in ("/digits", ""):
            for path in ("/models", "/metrics", "/nothing", "/readyz?verbose"):
                assert (await client.get(prefix + path)).status_code == 401, path
            for path in ("/", "/docs", "/healthz", "/page/key.js"):
                assert (await client.get(prefix + path)).status_code == 200, path
            assert (await client.get(f"{prefix}/models", headers=AUTHORIZATION)).status_code == 200


async def test_only_the_prefix_itself_is_taken_off():
    async with client_of(app_with(FakePredictor(), root_path="/digits")) as client:
        assert (await client.get("/digitsx/models")).status_code == 404
        assert (await client.get("/digits/digits/models")).status_code == 404
        page = await client.get("/digits")
        assert (page.status_code, page.headers["Location"]) == (307, "/digits/")


async def test_no_page_names_a_url_of_its_own_from_the_root():
    """Behind a proxy the root is something else."""
    async with client_of(app_with(FakePredictor())) as client:
        for path in ("/", "/docs", "/redoc"):
            text = (await client.get(path)).text
            for beginning in ('="/', "='/", "'/openapi", '"/openapi', "location.origin"):
                assert beginning not in text, (path, beginning)
        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "."}]


@pytest.mark.parametrize(
    "odd", ["digits", "/digits/", "/", "//", "/a//b", "/a b", "/ä", "/a?b", "/a#b", "/..", "/a/./b"]
)
def test_what_is_no_prefix_is_refused(odd):
    with pytest.raises(ValidationError, match="is no path prefix, want one such as /digits, without / at its end"):
        ServiceSettings(root_path=odd)


@pytest.mark.parametrize("taken", ["/v1", "/v2/models", "/models", "/page", "/predict", "/docs"])
def test_a_prefix_with_which_a_route_begins_is_refused(taken):
    """Whether a proxy had stripped it could not be told."""
    with pytest.raises(DigitsError, match=f"DIGITS_ROOT_PATH is '{taken}', which begins the route {taken}"):
        app_with(FakePredictor(), root_path=taken)
