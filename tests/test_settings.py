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
