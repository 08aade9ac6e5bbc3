import re
import subprocess
import sys

import pytest

from tests.service_fakes import FakePredictor, Shelf, app_following, client_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def made(name: str) -> tuple[str, str]:
    """A key and its line for the file, as the command makes them."""
    run = subprocess.run([sys.executable, "-m", "service.keys", name], capture_output=True, text=True, check=True)
    return re.fullmatch(rf"the key of {name}, shown this once: (\S{{43}})\n", run.stderr)[1], run.stdout


async def reload_with(path, header: str | None):
    """The answer of a management route."""
    app = app_following(Shelf({"lenet": {1: FakePredictor(version=1)}}), keys_file=path)
    async with client_of(app) as client:
        return await client.post("/manage/reload", headers={"Authorization": header} if header else {})


async def test_without_a_file_of_keys_management_is_closed():
    response = await reload_with(None, "Bearer anything")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "management_closed")
    assert "DIGITS_KEYS_FILE" in response.json()["error"]["message"]


async def test_a_key_of_the_file_opens_and_any_other_does_not(tmp_path):
    (anna, line), (ben, other) = made("anna"), made("ben")
    keys = tmp_path / "keys"
    keys.write_text(f"# who may reload\n\n{line}{other}")
    assert anna not in keys.read_text()
    for key in (anna, ben):
        assert (await reload_with(keys, f"Bearer {key}")).status_code == 200
    for wrong in (f"Bearer {anna[:-1]}", "Bearer ", f"Bearer {line.split()[-1]}", "Bearer é"):
        response = await reload_with(keys, wrong.encode())
        assert response.status_code == 401, wrong
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert (await reload_with(keys, None)).json()["error"]["code"] == "missing_key"


async def test_a_key_that_is_taken_out_of_the_file_opens_no_more(tmp_path):
    key, line = made("anna")
    keys = tmp_path / "keys"
    keys.write_text(line)
    app = app_following(Shelf({"lenet": {1: FakePredictor(version=1)}}), keys_file=keys)
    async with client_of(app) as client:
        header = {"Authorization": f"Bearer {key}"}
        assert (await client.post("/manage/reload", headers=header)).status_code == 200
        keys.write_text("")
        assert (await client.post("/manage/reload", headers=header)).status_code == 401


async def test_a_file_of_keys_that_cannot_be_read_closes(tmp_path):
    response = await reload_with(tmp_path / "missing", "Bearer anything")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "management_closed")
    (tmp_path / "odd").write_text("not-a-line\nanna \n")
    assert (await reload_with(tmp_path / "odd", "Bearer x")).status_code == 401


def test_the_command_explains_itself():
    run = subprocess.run([sys.executable, "-m", "service.keys"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (
        1,
        "usage: python -m service.keys NAME [manage|predict|metrics] >> FILE   (a name of letters, digits and _)\n",
    )
