"""The benchmark of fairness: what counts as met."""

import pytest

from tests.load.fairness import NEIGHBOURS, Share


@pytest.mark.parametrize(
    ("p99_ms", "unanswered", "wanted_p99_ms", "met"),
    [(25, 0, 25, True), (25.1, 0, 25, False), (1, 1, 25, False), (1000, 0, None, True), (1, 1, None, False)],
)
def test_a_share_is_fair_if_every_picture_has_its_answer_in_the_wanted_time(p99_ms, unanswered, wanted_p99_ms, met):
    share = Share("somebody", 1, p99_ms, p99_ms, unanswered, 1000, wanted_p99_ms)
    assert share.met == met


def test_one_client_with_thousands_of_pictures_in_either_form_has_a_goal():
    assert {of.form: of.wanted_p99_ms for of in NEIGHBOURS if of.clients == 1} == {"raw": 25, "many": 60}
