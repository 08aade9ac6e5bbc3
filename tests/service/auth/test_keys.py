"""API keys: the key file, which routes require a key, and the command that makes one."""

import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace

import anyio
import pytest
from pydantic import ValidationError

from service.auth import keys as module
from service.auth.keys import RIGHTS, Keys, digest_of
from service.errors import Forbidden, Unauthorised
from service.settings import ServiceSettings
from tests.support.application import app_following, client_of
from tests.support.fake_predictor import FakePredictor
from tests.support.keys import AUTHORIZATION
from tests.support.shelf import Shelf
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


def made(name: str, *right: str) -> tuple[str, str]:
    """A key and its line for the file, as the command makes them."""
    command = [sys.executable, "-m", "service.auth", name, *right]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
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


async def test_a_key_that_is_taken_out_of_the_file_opens_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)
    key, line = made("anna")
    keys = tmp_path / "keys"
    keys.write_text(line)
    app = app_following(Shelf({"lenet": {1: FakePredictor(version=1)}}), keys_file=keys)
    async with client_of(app) as client:
        header = {"Authorization": f"Bearer {key}"}
        assert (await client.post("/manage/reload", headers=header)).status_code == 200
        keys.write_text("")
        with anyio.fail_after(10):
            while (answer := await client.post("/manage/reload", headers=header)).status_code == 200:
                await anyio.sleep(0.01)
        assert answer.status_code == 401


async def test_a_file_of_keys_that_cannot_be_read_closes(tmp_path, keys_file):
    app = app_following(Shelf({"lenet": {1: FakePredictor(version=1)}}), keys_file=keys_file)
    app.service = replace(app.service, keys=Keys(tmp_path / "gone"))
    async with client_of(app) as client:
        response = await client.post("/manage/reload", headers=AUTHORIZATION)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "management_closed")
    (tmp_path / "odd").write_text("not-a-line\nanna \n")
    assert (await reload_with(tmp_path / "odd", "Bearer x")).status_code == 401


@pytest.fixture(scope="module")
def keys() -> tuple[dict[str, dict[str, str]], str]:
    """Headers that bring a key for each right, and the file with all of them."""
    by_right = {right: made(right, right) for right in RIGHTS}
    headers = {right: {"Authorization": f"Bearer {key}"} for right, (key, _) in by_right.items()}
    return headers, "".join(line for _, line in by_right.values())


OPEN = ("/healthz", "/readyz", "/openapi.json", "/docs", "/static-offline-docs/x", "/")
PREDICTING = ("/models", "/nothing")
PIXELS = {"pixels": [0] * 784}


async def statuses(keys, path, **settings):
    """For each right, and for no key, which paths are open; `/predict` is a POST."""
    headers, lines = keys
    path.write_text(lines)
    app = app_following(Shelf({"lenet": {3: FakePredictor()}}), keys_file=path, feedback_url="", **settings)
    opened = {}
    async with client_of(app) as client:
        for right, header in {**headers, "": {}}.items():
            answers = {
                url: (await client.get(url, headers=header)).status_code for url in (*OPEN, *PREDICTING, "/metrics")
            }
            answers["/predict"] = (await client.post("/predict", json=PIXELS, headers=header)).status_code
            answers["/manage/reload"] = (await client.post("/manage/reload", headers=header)).status_code
            opened[right] = {url for url, status in answers.items() if status not in (401, 403)}
    return opened


async def test_without_more_settings_only_management_wants_a_key(keys, tmp_path):
    opened = await statuses(keys, tmp_path / "keys")
    everything = {*OPEN, *PREDICTING, "/metrics", "/predict"}
    assert opened["manage"] == everything | {"/manage/reload"}
    assert opened["predict"] == opened["metrics"] == opened[""] == everything


async def test_all_but_health_pages_and_metrics_can_want_a_key(keys, tmp_path):
    opened = await statuses(keys, tmp_path / "keys", require_key="predict")
    assert opened[""] == opened["metrics"] == {*OPEN, "/metrics"}
    assert opened["predict"] == {*OPEN, *PREDICTING, "/metrics", "/predict"}
    assert opened["manage"] == opened["predict"] | {"/manage/reload"}


async def test_metrics_can_want_a_key(keys, tmp_path):
    opened = await statuses(keys, tmp_path / "keys", require_key="predict,metrics")
    assert opened[""] == {*OPEN}
    assert opened["metrics"] == {*OPEN, "/metrics"}
    assert opened["predict"] == {*OPEN, *PREDICTING, "/predict"}
    assert "/metrics" in opened["manage"]


async def test_a_key_that_is_wanted_and_missing_or_wrong_is_told_in_the_common_form(keys, tmp_path):
    headers, lines = keys
    (tmp_path / "keys").write_text(lines)
    app = app_following(Shelf({"lenet": {3: FakePredictor()}}), keys_file=tmp_path / "keys", require_key="predict")
    async with client_of(app) as client:
        missing = await client.post("/predict", json=PIXELS)
        wrong = await client.post("/predict", json=PIXELS, headers={"Authorization": "Bearer wrong"})
        basic = await client.post("/predict", json=PIXELS, headers={"Authorization": "Basic YTpi"})
        other = await client.post("/predict", json=PIXELS, headers=headers["metrics"])
    assert [answer.status_code for answer in (missing, wrong, basic, other)] == [401, 401, 401, 403]
    codes = [answer.json()["error"]["code"] for answer in (missing, wrong, basic, other)]
    assert codes == ["missing_key", "wrong_key", "missing_key", "wrong_right"]
    assert other.json()["error"]["message"] == "the key of metrics is for metrics, want a key for predict"
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    assert missing.headers["X-Request-Id"]


async def test_a_preflight_wants_no_key_for_it_cannot_bring_one(keys, tmp_path):
    (tmp_path / "keys").write_text(keys[1])
    settings = {"keys_file": tmp_path / "keys", "require_key": "predict", "cors_origins": "https://a.example"}
    app = app_following(Shelf({"lenet": {3: FakePredictor()}}), **settings)
    asked = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Authorization",
    }
    async with client_of(app) as client:
        assert (await client.options("/predict", headers=asked)).status_code == 200
        refused = await client.post("/predict", json=PIXELS, headers={"Origin": "https://a.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://a.example")


def test_a_check_does_not_touch_the_disk_and_only_other_content_is_parsed(keys, tmp_path, monkeypatch):
    path, parsed = tmp_path / "keys", []
    parse = module._parse
    monkeypatch.setattr(module, "_parse", lambda text: parsed.append(text) or parse(text))
    path.write_text(keys[1])
    known = Keys(path)
    known.reread()
    assert parsed == [keys[1]]
    path.unlink()
    with monkeypatch.context() as patch:
        for name in ("open", "stat", "fstat"):
            patch.setattr(os, name, lambda *_, **__: pytest.fail("the disk was touched"))
        for _ in range(3):
            assert known.check(keys[0]["predict"]["Authorization"], "predict") == "predict"
    known.reread()
    with pytest.raises(Forbidden, match="predict is closed: the file of keys cannot be read"):
        known.check(keys[0]["manage"]["Authorization"], "predict")


def test_a_key_is_revoked_though_size_time_and_inode_of_the_file_stay_the_same(keys, tmp_path):
    path = tmp_path / "keys"
    path.write_text(keys[1])
    known, before = Keys(path), path.stat()
    assert known.check(keys[0]["predict"]["Authorization"], "predict") == "predict"
    digest = digest_of(keys[0]["predict"]["Authorization"].removeprefix("Bearer "))
    path.write_text(keys[1].replace(digest, digest_of("another key")))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert [(of.st_mtime_ns, of.st_size, of.st_ino) for of in (before, after)] == 2 * [
        (after.st_mtime_ns, after.st_size, after.st_ino)
    ]
    known.reread()
    with pytest.raises(Unauthorised):
        known.check(keys[0]["predict"]["Authorization"], "predict")


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "too long", "not UTF-8"])
def test_what_is_no_file_of_keys_closes_at_once_and_opens_again_when_it_is_one(keys, tmp_path, caplog, kind):
    """Opening a FIFO used to wait for a writer, and with it every request."""
    path, good = tmp_path / "keys", tmp_path / "good"
    for each in (path, good):
        each.write_text(keys[1])
    known = Keys(path)
    path.unlink()
    match kind:
        case "a FIFO":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "too long":
            path.write_text(keys[1] + "#" * module.LIMIT_BYTES)
        case "not UTF-8":
            path.write_bytes(keys[1].encode() + b"\xff")
    reading = threading.Thread(target=lambda: (known.reread(), known.reread()), daemon=True)
    reading.start()
    reading.join(10)
    assert not reading.is_alive()
    with pytest.raises(Forbidden, match="predict is closed: the file of keys cannot be read"):
        known.check(keys[0]["predict"]["Authorization"], "predict")
    (record,) = caplog.records
    assert "the file of keys cannot be read, so no key is accepted" in record.getMessage()
    path.rmdir() if kind == "a folder" else path.unlink()
    good.rename(path)
    known.reread()
    assert known.check(keys[0]["predict"]["Authorization"], "predict") == "predict"


def test_no_key_is_accepted_while_the_disk_hangs(keys, tmp_path, monkeypatch, caplog):
    path, hanging, going_on = tmp_path / "keys", threading.Event(), threading.Event()
    path.write_text(keys[1])
    known, read = Keys(path), module._read
    monkeypatch.setattr(module, "INTERVAL_S", 0.001)
    monkeypatch.setattr(module, "_read", lambda path: (hanging.set(), going_on.wait(30), read(path))[-1])
    known.start()
    try:
        assert hanging.wait(10)
        assert known.check(keys[0]["predict"]["Authorization"], "predict") == "predict"  # it may be only slow
        monkeypatch.setattr(module, "STALE_S", 0.0)
        for _ in range(2):
            with pytest.raises(Forbidden, match="predict is closed: the file of keys cannot be read"):
                known.check(keys[0]["predict"]["Authorization"], "predict")
        (record,) = caplog.records
        assert f"{path} takes too long" in record.getMessage()
        monkeypatch.setattr(module, "STALE_S", 1000.0)
        going_on.set()
        assert known.check(keys[0]["predict"]["Authorization"], "predict") == "predict"

        def told_again():
            """The next time that it hangs is another problem, once the file has been read."""
            monkeypatch.setattr(module, "STALE_S", 0.0)
            with suppress(Forbidden, Unauthorised):
                known.check(None, "predict")
            return len(caplog.records) > 1

        eventually(told_again, 10)
    finally:
        known.close()
        going_on.set()


def test_every_key_is_compared_and_in_constant_time(keys, tmp_path, monkeypatch):
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    (tmp_path / "keys").write_text(keys[1])
    Keys(tmp_path / "keys").check(keys[0]["manage"]["Authorization"], "manage")
    assert len(compared) == len(RIGHTS)
    assert {len(text) for pair in compared for text in pair} == {64}, "hashes, whose lengths tell nothing of the keys"


@pytest.mark.parametrize("kind", ["a FIFO", "a folder"])
def test_a_file_of_keys_that_is_no_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "keys"
    os.mkfifo(path) if kind == "a FIFO" else path.mkdir()
    with pytest.raises(ValidationError, match="keys is no regular file: nobody could use a key"):
        ServiceSettings(keys_file=path)


def test_to_want_keys_without_a_file_of_them_is_refused_at_once():
    with pytest.raises(ValidationError, match="require_key wants keys_file: without a file of keys nobody has one"):
        ServiceSettings(require_key="predict")


@pytest.mark.parametrize("odd", ["example.org", "https://example.org/", "https://a.example/path", "null"])
def test_what_is_no_origin_is_refused(odd):
    with pytest.raises(ValidationError, match="is no origin, want https://HOST"):
        ServiceSettings(cors_origins=odd)


def test_the_command_explains_itself():
    run = subprocess.run([sys.executable, "-m", "service.auth"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (
        1,
        "usage: python -m service.auth NAME [manage|predict|metrics] >> FILE   (a name of letters, digits and _)\n",
    )


def test_a_line_that_is_no_key_opens_nothing_and_is_told(tmp_path, caplog):
    """A right that was written wrongly used to be taken for a part of the name, and the key for a manager's."""
    key, line = made("shop", "predict")
    line, path = line.strip(), tmp_path / "keys"
    keys = Keys(path)
    for wrong in (line.replace("predict", "predikt"), line.replace("predict", "Predict"), line[:-3], f"{line} more"):
        path.write_text(f"# a comment\n{wrong}\n")
        keys.reread()
        for right in RIGHTS:
            with pytest.raises(Unauthorised):
                keys.check(f"Bearer {key}", right)
        assert "line 2 of the file of keys is none, want NAME [manage|predict|metrics] SHA-256" in caplog.text
        caplog.clear()


def test_a_file_of_keys_that_is_gone_is_told_to_the_log_and_not_to_strangers(tmp_path, caplog):
    with pytest.raises(ValidationError, match="keys cannot be read: nobody could use a key"):
        ServiceSettings(keys_file=tmp_path / "keys")
    keys = Keys(tmp_path / "keys")
    for _ in range(2):
        with pytest.raises(Forbidden) as caught:
            keys.check("Bearer x", "predict")
        assert (
            str(caught.value) == "predict is closed: the file of keys cannot be read; the log of the service says why"
        )
    (record,) = caplog.records
    assert str(tmp_path / "keys") in record.getMessage()
