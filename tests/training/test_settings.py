"""Settings in the environment: a name that is misspelt is told, with the one that is meant."""

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from service.settings import ServiceSettings
from training.__main__ import app
from training.retraining.settings import GateSettings
from training.settings import OTHERS, StoreSettings, unknown_variables


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("DIGITS_STROE", "DIGITS_STORE"),
        ("DIGITS_MODELS", "DIGITS_MODEL"),
        ("digits_feedback_uri", "DIGITS_FEEDBACK_URL"),
    ],
)
def test_a_name_that_is_misspelt_is_an_error_with_the_one_that_is_meant(monkeypatch, variable, meant):
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ValidationError, match=f"{variable.upper()} is no setting, want {meant}"):
        StoreSettings()


@pytest.mark.parametrize("variable", ["DIGITS_STORE", "digits_model", "DIGITS_OPERATOR", "OTHER_STROE", "DIGITS_NEWS"])
def test_other_names_are_left_alone(monkeypatch, variable):
    monkeypatch.setenv(variable, "x")
    assert StoreSettings()


def test_settings_of_the_service_are_no_misspelt_ones_of_training_which_share_an_environment(monkeypatch):
    for name in ServiceSettings.model_fields:
        if name not in StoreSettings.model_fields:
            monkeypatch.setenv(f"DIGITS_{name.upper()}", "x")
    found = unknown_variables([*StoreSettings.model_fields, *OTHERS])
    assert len(found) > 30
    assert set(found.values()) == {None}


def test_settings_of_the_gate_are_checked_by_the_gate(monkeypatch):
    monkeypatch.setenv("DIGITS_GATE_MARGN", "0.1")
    assert StoreSettings()
    with pytest.raises(ValidationError, match="DIGITS_GATE_MARGN is no setting of the gate, want DIGITS_GATE_MARGIN"):
        GateSettings()
    monkeypatch.delenv("DIGITS_GATE_MARGN")
    monkeypatch.setenv("DIGITS_GATE_MERCY", "1")
    with pytest.raises(ValidationError, match="DIGITS_GATE_MERCY is no setting of the gate, want DIGITS_GATE_ALPHA, "):
        GateSettings()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DIGITS_STROE", "x", "error: DIGITS_STROE is no setting, want DIGITS_STORE\n"),
        ("DIGITS_STORE", "", "error: DIGITS_STORE is '': String should have at least 1 character\n"),
    ],
)
def test_a_command_tells_it_in_one_line(variable, value, message):
    result = CliRunner().invoke(app, ["models"], env={variable: value})
    assert (result.exit_code, result.output) == (1, message)
