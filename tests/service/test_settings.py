"""Settings of the service: read from the environment, checked at the start, each documented."""

import pytest

from service.settings import ServiceSettings


def test_settings_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("DIGITS_PORT", "9000")
    monkeypatch.setenv("DIGITS_STORE", "/data/models")
    settings = ServiceSettings()
    assert (settings.port, settings.store, settings.host) == (9000, "/data/models", "127.0.0.1")


def test_a_request_that_could_never_be_accepted_is_refused_at_the_start():
    with pytest.raises(
        ValueError, match="request_limit_rows is 4096, want at most queue_limit_rows, which is 100: a larger request"
    ):
        ServiceSettings(queue_limit_rows=100)


def test_every_setting_says_what_it_means():
    assert all(field.description for field in ServiceSettings.model_fields.values())


def test_corrections_are_in_the_store_unless_a_url_says_otherwise(tmp_path):
    assert ServiceSettings(store=str(tmp_path)).corrections_url == f"sqlite:///{tmp_path}/feedback.sqlite3"
    assert ServiceSettings(store=str(tmp_path), feedback_url="").corrections_url == ""
    assert ServiceSettings(feedback_url="postgresql://h/d").corrections_url == "postgresql://h/d"
    assert ServiceSettings(store="gs://bucket/store").corrections_url == ""


def test_the_password_is_not_in_what_the_settings_look_like():
    assert "hunter2" not in repr(ServiceSettings(feedback_url="postgresql://u:hunter2@h/d"))
