"""Errors on photos are counted through the preparation and the network that serve them."""

import pytest

from training import mnist
from training.evaluation import photo_errors
from training.evaluation.photo_errors import errors_of, see
from training.photos.families import TEST_FAMILIES
from training.predictor import Predictor
from training.report import photo_strips

FEW = ("pen", "pairs", "blank_shadowed")


@pytest.fixture
def predictor(trained_store):
    return Predictor.load(trained_store, "tiny", row_sizes=(1, 16))


@pytest.fixture(autouse=True)
def few_families(monkeypatch):
    few = {name: TEST_FAMILIES[name] for name in FEW}
    for module in (photo_errors, photo_strips):
        monkeypatch.setattr(module, "TEST_FAMILIES", few)


def test_photos_of_each_family_are_refused_or_read_and_these_accepted_or_not_for_a_reason(predictor):
    watched = []
    families = errors_of(predictor, mnist.test(), 3, watched.append)
    assert [family.name for family in families] == list(FEW)
    assert len(watched) == 9
    for family in families:
        assert family.photos == family.refused + family.accepted + sum(family.reasons.values())
        assert family.accepted_and_wrong <= min(family.wrong, family.accepted)
    pen, pairs, blank = families
    assert pen.refused == 0
    assert pairs.reasons.get("several_digits", 0) >= 2
    assert (pen.lines_right, blank.lines_right) == (None, None)
    assert pairs.lines_right is not None
    assert blank.accepted == 0


def test_the_same_photos_are_seen_every_time(predictor):
    def pixels():
        return [one.pixels.tobytes() for one in see(predictor, TEST_FAMILIES["pen"], mnist.test(), 2)]

    assert pixels() == pixels()


def test_the_report_shows_what_was_sent_and_what_was_seen(predictor):
    strips = photo_strips.photo_strips(predictor, mnist.test())
    assert [strip.title for strip in strips] == [TEST_FAMILIES[name].title for name in FEW]
    assert all(strip.jpeg.startswith("data:image/jpeg;base64,") and len(strip.reads) == 10 for strip in strips)
