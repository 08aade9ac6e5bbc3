"""The gate: criteria by which a challenger passes or is refused."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from training.retraining.gate import Criterion, Decision, PairedAnswers, PairedFigure, decide, enough
from training.retraining.limits import Limits

LIMITS = Limits()
AS_GOOD = PairedFigure(0.01, 0.01)
UNSURE = np.array([])


def answers(
    right: int, lost: int = 0, won: int = 0, both_wrong: int = 0, *, digit: int = 4, wrong: int = 9
) -> PairedAnswers:
    """PairedAnswers to pictures of one digit; whoever errs answers `wrong`."""
    n = right + lost + won + both_wrong
    champion = [digit] * (right + lost) + [wrong] * (won + both_wrong)
    challenger = [digit] * right + [wrong] * lost + [digit] * won + [wrong] * both_wrong
    return PairedAnswers(np.full(n, digit), np.array(champion), np.array(challenger))


GOOD_DIGITS = answers(4981, both_wrong=19)
GOOD_CORRECTIONS = answers(700, won=40, both_wrong=11)


def decided(
    digits=GOOD_DIGITS, corrections=GOOD_CORRECTIONS, confidence=UNSURE, calibration=AS_GOOD, p99_s=AS_GOOD, **limits
) -> Decision:
    sure = confidence if len(confidence) else np.zeros(len(corrections.labels))
    return decide(digits, corrections, sure, calibration, p99_s, Limits(**limits))


def refused(decision: Decision) -> list[str]:
    return [criterion.name for criterion in decision.criteria if not criterion.passed]


def named(decision: Decision, name: str) -> Criterion:
    (found,) = (criterion for criterion in decision.criteria if criterion.name == name)
    return found


def test_a_challenger_that_is_better_on_corrections_and_as_good_on_digits_passes():
    decision = decided()
    assert decision.passed
    assert len(decision.criteria) == 10


def test_too_few_corrections_decide_nothing():
    decision = decided(corrections=answers(0, won=49))
    assert refused(decision) == ["enough corrections"]
    assert enough(49, LIMITS).words == "49 held-out corrections, want at least 50"
    assert enough(50, LIMITS).passed


def test_fifteen_more_errors_in_5000_are_not_shown_to_be_within_the_margin():
    decision = decided(answers(4956, lost=25, won=10, both_wrong=9))
    assert refused(decision) == ["not worse on held-out digits"]
    assert named(decision, "not worse on held-out digits").words == (
        "34 of 5,000 held-out digits wrong, the champion 19: p = 0.5 for being worse by 0.30% or more, want below 0.05"
    )
    assert decided(answers(4956, lost=25, won=10, both_wrong=9), margin=0.01).passed


def test_four_more_right_than_before_are_no_proof_and_five_are():
    """One half to the fourth is 0.0625, to the fifth 0.03125."""
    assert refused(decided(corrections=answers(96, won=4))) == ["better on held-out corrections"]
    decision = decided(corrections=answers(95, won=5))
    assert decision.passed
    assert named(decision, "better on held-out corrections").found == pytest.approx(1 / 32)


def test_few_corrections_are_not_bought_with_more_errors_on_digits():
    decision = decided(answers(4976, lost=6, both_wrong=18), answers(95, won=5), alpha=0.1)
    assert refused(decision) == ["not worse on both together"]
    assert named(decision, "not worse on both together").words == (
        "24 wrong on both together, want at most 23, as many as the champion"
    )


def test_a_digit_that_becomes_worse_is_seen_even_where_all_together_become_better():
    """Nine lost and none won of one digit: 1 / 512, times ten for the ten digits that are asked about."""
    of_7, of_4 = answers(491, lost=9, digit=7), answers(4481, won=19)
    decision = decided(of_4.and_also(of_7))
    assert refused(decision) == ["no digit worse"]
    assert named(decision, "no digit worse").found == pytest.approx(10 / 512)
    assert (
        "9 of 500 pictures of 7 wrong, the champion 0: p = 0.02 after Holm" in named(decision, "no digit worse").words
    )
    fewer = answers(493, lost=7, digit=7)  # 10 / 128
    assert decided(of_4.and_also(fewer)).passed


def test_labels_that_the_challenger_cannot_learn_are_refused():
    decision = decided(corrections=answers(560, won=40, both_wrong=150))
    assert refused(decision) == ["corrections follow a rule"]
    assert "150 of 750 held-out corrections contradict the challenger" in (
        named(decision, "corrections follow a rule").words
    )


def test_a_clean_handful_may_pass_and_one_with_two_contradictions_may_not():
    """The share must be shown to be small: 1 of 50 may be 9.1 %, 2 of 50 may be 12.1 %."""
    assert decided(corrections=answers(40, won=9, both_wrong=1)).passed
    assert refused(decided(corrections=answers(39, won=9, both_wrong=2))) == ["corrections follow a rule"]


def with_4s(called_9: int, called_4: int, *, confidence: float) -> Decision:
    """The decision where the champion takes pictures for 4; the challenger has learned what they are called.

    It is as sure of 2,000 pictures of 7, and right.
    """
    labels = np.array([9] * called_9 + [4] * called_4 + [7] * 2000)
    seen = np.array([4] * (called_9 + called_4) + [7] * 2000)
    others = answers(300, won=20, digit=1, wrong=2)
    corrections = PairedAnswers(labels, seen, labels).and_also(others)
    return decided(corrections=corrections, confidence=np.array([confidence] * len(labels) + [0.5] * 320))


def test_a_digit_that_is_called_another_is_seen_although_the_challenger_has_learned_it():
    decision = with_4s(called_9=60, called_4=2, confidence=0.995)
    assert refused(decision) == ["no digit called another"]
    assert named(decision, "no digit called another").words == (
        "of the corrections that the champion surely takes for 4, 60 are called 9 and 2 are called 4: "
        "p = 3.8e-14 after Holm for all pairs, want at least 0.05"
    )


def test_where_the_champion_was_not_sure_nobody_is_suspected():
    assert with_4s(called_9=60, called_4=2, confidence=0.98).passed


def test_a_sure_champion_may_often_be_wrong_as_long_as_it_is_mostly_right():
    assert with_4s(called_9=60, called_4=70, confidence=1).passed


def test_labels_that_contradict_a_sure_champion_too_often_are_seen_whatever_they_say():
    """Pictures of all digits with a stripe, called 0, say: the challenger learns it and does no other harm."""
    seen = np.repeat(np.arange(1, 10), 100)
    labels = np.where(np.arange(900) % 100 < 10, 0, seen)
    decision = decided(corrections=PairedAnswers(labels, seen, labels), confidence=np.full(900, 0.999))
    assert refused(decision) == ["sure answers hold"]
    assert named(decision, "sure answers hold").words == (
        "90 of the 900 held-out corrections that the champion is sure of contradict it: 10.0%, want at most 5.0%"
    )
    assert decided(corrections=PairedAnswers(labels, seen, labels), confidence=np.full(900, 0.98)).passed


def test_calibration_and_latency_have_their_limits():
    assert refused(decided(calibration=PairedFigure(0.010, 0.021))) == ["calibrated"]
    assert decided(calibration=PairedFigure(0.010, 0.019)).passed
    assert refused(decided(p99_s=PairedFigure(0.001, 0.0021))) == ["as fast"]
    assert named(decided(p99_s=PairedFigure(0.001, 0.0021)), "as fast").words == (
        "99 % of single pictures within 2.10 ms, the champion 1.00 ms: 2.10 times as long, want at most 2"
    )


def test_a_decision_is_json_with_every_figure():
    decision = decided()
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision


def test_of_challengers_that_are_no_better_few_pass():
    """Each right or wrong by chance where the champion is, 10 % of corrections and 0.4 % of digits."""
    rng, passed, trials = np.random.default_rng(1), 0, 400
    for _ in range(trials):
        digits, corrections = (
            PairedAnswers(labels, *(np.where(rng.random(n) < error, 9, 4) for _ in range(2)))
            for n, error in ((5000, 0.004), (750, 0.05))
            for labels in [np.full(n, 4)]
        )
        passed += decided(digits, corrections).passed
    assert passed <= 0.05 * trials


@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 30),
    st.integers(0, 9),
)
@settings(max_examples=examples(200), deadline=None)  # the machine may be busy
def test_an_answer_that_becomes_right_never_keeps_a_challenger_that_would_have_passed(
    lost, won, lost_corrections, won_corrections, both_wrong, digit
):
    digits = answers(4800, lost, won, both_wrong, digit=digit, wrong=(digit + 1) % 10)
    before = answers(500, lost_corrections + 1, won_corrections, both_wrong, digit=digit, wrong=(digit + 1) % 10)
    after = answers(501, lost_corrections, won_corrections, both_wrong, digit=digit, wrong=(digit + 1) % 10)
    assert decided(digits, after).passed or not decided(digits, before).passed
