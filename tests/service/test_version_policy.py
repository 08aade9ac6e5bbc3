"""The version policy: which versions of a model are loaded."""

import pytest
from pydantic import ValidationError

from service.settings import ServiceSettings
from service.version_policy import choose

VERSIONS = [1, 2, 3, 10]
ALIASES = {"champion": 2, "previous": 1, "challenger": 99}


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ("champion", [2]),
        ("latest", [10]),
        ("all", [1, 2, 3, 10]),
        ("3", [3]),
        ("10, 1", [1, 10]),
        ("champion,previous,latest", [1, 2, 10]),
        ("champion,2", [2]),
        ("challenger", []),
        ("7", []),
        ("stable", []),
    ],
)
def test_a_policy_chooses_versions_in_ascending_order(policy, chosen):
    assert choose(policy, VERSIONS, ALIASES) == chosen


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [("latest", [3]), ("all", [1, 3]), ("champion", [2]), ("10", [10]), ("champion,latest", [2, 3])],
)
def test_what_the_gate_has_refused_is_chosen_by_name_alone(policy, chosen):
    assert choose(policy, VERSIONS, ALIASES, refused={2, 10}) == chosen


@pytest.mark.parametrize("policy", ["", "champion,", "0", "-1", "1.5", "Champion", "1 2", "../1"])
def test_what_is_no_policy_is_refused_with_what_is_one(policy):
    with pytest.raises(ValidationError, match="names no version, want all, latest, aliases such as champion"):
        ServiceSettings(versions=policy)


def test_other_models_are_given_with_commas_between(monkeypatch):
    monkeypatch.setenv("DIGITS_OTHER_MODELS", "mlp, mlp_deep,")
    assert ServiceSettings().other_models == ("mlp", "mlp_deep")
    monkeypatch.delenv("DIGITS_OTHER_MODELS")
    assert ServiceSettings().other_models == ()
