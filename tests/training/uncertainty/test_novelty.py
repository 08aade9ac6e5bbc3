"""Novelty: the Mahalanobis distance of ink moments, the head on top of it, and the verdict `not_a_digit`."""

import jax
import msgspec
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from training import mnist
from training.answers import (
    ACCEPTED,
    CERTAINTY,
    COLUMNS,
    CONFIDENCE,
    DIGIT,
    INK,
    NOT_A_DIGIT,
    NOVELTY,
    UNCERTAIN,
    VERDICT,
)
from training.evaluation.outliers import outliers
from training.evaluation.trust import Measured, as_pictures, auroc, risk_by_share
from training.network.compiled import CompiledNetwork
from training.network.convolution import NATIVE
from training.network.module import forward_with_features
from training.photos.sources import ALIKE, DEVELOPMENT, LETTERS, TEST
from training.predictor import Predictor
from training.store.manifest import CorruptVersion
from training.uncertainty.moments import mean_ink, moments
from training.uncertainty.novelty import Detector, fit_distance

pytestmark = pytest.mark.as_served


@pytest.fixture(scope="module")
def predictor(trained_store):
    return Predictor.load(trained_store, "tiny", row_sizes=(1, 64))


@pytest.fixture(scope="module")
def measured(predictor):
    digits = mnist.train().take(np.arange(4000, 6000))
    return Measured.of(predictor, digits, as_pictures(digits), DEVELOPMENT)


def test_moments_are_those_of_the_ink():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 10, 20], image[0, 12, 20] = 255, 255
    found = np.asarray(moments(image))[0]
    y, x = np.array([-3.5, -1.5]), np.array([6.5, 6.5])
    wanted = [np.log(2 / 784 + 0.01), y.mean(), x.mean(), (y * y).mean(), (x * x).mean(), (x * y).mean()]
    assert found == pytest.approx(wanted, rel=1e-5)
    assert np.asarray(mean_ink(found[None])) == pytest.approx([2 / 784], rel=1e-4)
    assert np.asarray(moments(image * 0))[0] == pytest.approx([np.log(0.01), 0, 0, 0, 0, 0])


def test_the_distance_is_mahalanobis_to_the_nearest_class(trained):
    card, params = trained
    digits = mnist.train().take(np.arange(600))
    ink = np.asarray(moments(digits.images))
    plain = CompiledNetwork(card.layers, params, row_sizes=(600,))
    logits = np.log(plain(digits.images))  # softmax does not tell by how much all of them are larger
    assert not plain.columns(digits.images)[:, NOVELTY].any()
    detector = fit_distance(ink, logits, digits.labels)
    numbers = np.concatenate([ink, logits], axis=1).astype(np.float64)
    middles = np.stack([numbers[digits.labels == digit].mean(axis=0) for digit in range(10)])
    within = numbers - middles[digits.labels]
    inverse = np.linalg.inv(within.T @ within / 600 + np.diag(1e-4 * numbers.var(axis=0)))
    for row in range(5):
        wanted = min(mahalanobis(numbers[row], middle, inverse) ** 2 for middle in middles)
        found = np.square(numbers[row].astype(np.float32) @ detector.whitening - detector.means).sum(axis=1).min()
        assert found == pytest.approx(wanted, rel=2e-2)


def test_a_class_without_digits_and_few_of_them_give_a_distance_all_the_same():
    random = np.random.default_rng(0)
    detector = fit_distance(random.normal(size=(5, 6)), random.normal(size=(5, 10)), np.arange(5) % 3)
    assert np.isfinite(detector.whitening).all()
    assert np.isfinite(detector.means).all()


def test_columns_are_probabilities_certainty_novelty_and_ink(predictor):
    images = mnist.train().images[:70]
    columns = predictor.columns(images)
    assert (columns.shape, columns.dtype) == ((70, COLUMNS), np.float32)
    assert np.array_equal(columns[:, :10], predictor(images))
    assert columns[:, INK] == pytest.approx(images.mean(axis=(1, 2)) / 255, rel=1e-3)
    assert np.array_equal(columns[:, CONFIDENCE], columns[:, :10].max(axis=1))
    assert np.array_equal(columns[:, DIGIT], columns[:, :10].argmax(axis=1))


def test_blank_full_and_noise_are_no_digits_and_most_digits_are(predictor):
    random = np.random.default_rng(0)
    others = [np.zeros((28, 28)), np.full((28, 28), 255), random.integers(0, 256, (28, 28))]
    verdicts = predictor.read(predictor.columns(np.stack(others).astype(np.uint8))).verdicts
    assert verdicts.tolist() == [NOT_A_DIGIT] * 3
    digits = predictor.read(predictor.columns(mnist.train().images[4000:6000])).verdicts
    assert (digits == NOT_A_DIGIT).mean() < 0.03


@pytest.mark.parametrize("rows", [1, 4])
def test_an_answer_on_the_limit_of_certainty_is_not_accepted_and_one_on_that_of_novelty_is(trained, rows):
    card, params = trained
    images = mnist.train().images[:1]

    def computed(*limits):
        detector = card.trust.novelty.detector
        network = CompiledNetwork(card.layers, params, detector=detector, limits=limits, row_sizes=(rows,))
        return network.columns(images)[0]

    found = computed(-np.inf, np.inf)
    certainty, novelty = found[CERTAINTY], found[NOVELTY]
    assert found[VERDICT] == ACCEPTED
    assert computed(certainty, novelty)[VERDICT] == UNCERTAIN
    less = np.nextafter(certainty, np.float32(0))
    assert computed(less, novelty)[VERDICT] == ACCEPTED
    assert computed(less, np.nextafter(novelty, np.float32(-np.inf)))[VERDICT] == NOT_A_DIGIT


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_verdict(trained, rows, number):
    card, params = trained
    images, detector = mnist.train().images[:rows], card.trust.novelty.detector
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, number), params)

    def verdicts(params, detector):
        network = CompiledNetwork(card.layers, params, detector=detector, row_sizes=(rows,))
        return network.columns(images)[:, VERDICT]

    assert np.isfinite(verdicts(params, detector)).all()
    assert np.isnan(verdicts(broken, detector)).all()
    for part in ("whitening", "head"):
        sick = np.full_like(getattr(detector, part), number)
        assert np.isnan(verdicts(params, detector._replace(**{part: sick}))).all()


@pytest.mark.parametrize("rows", [1, 4])
def test_novelty_is_the_distance_without_a_head_and_its_log_odds_with_one(trained, rows):
    card, params = trained
    images, detector = mnist.train().images[:rows], card.trust.novelty.detector
    ink = np.asarray(moments(images))
    logits, features = (np.asarray(of) for of in forward_with_features(card.layers, NATIVE)(params, images))
    whitened = np.concatenate([ink, logits], axis=1) @ detector.whitening
    squared = np.square(whitened[:, None] - detector.means).sum(axis=2).min(axis=1)
    read = np.concatenate([features, ink, logits, np.log1p(squared)[:, None]], axis=1)
    odds = np.maximum(read @ detector.head[:-2] + detector.head[-2], 0) @ detector.head[-1]
    for of, wanted in ((detector, odds), (Detector(detector.whitening, detector.means), squared)):
        found = CompiledNetwork(card.layers, params, detector=of, row_sizes=(rows,)).columns(images)[:, NOVELTY]
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-3)


def test_a_card_of_format_2_has_the_distance_that_it_had(trained):
    card, _ = trained
    fields = msgspec.to_builtins(card) | {"format": 2}
    del fields["trust"]["novelty"]["head"]  # as they were written then
    old = msgspec.convert(fields, type(card), strict=False)
    detector = card.trust.novelty.detector
    assert not len(old.trust.novelty.detector.head)
    assert np.array_equal(old.trust.novelty.detector.whitening, detector.whitening)
    assert np.array_equal(old.trust.novelty.detector.means, detector.means)


def test_a_detector_comes_back_from_a_card_bit_for_bit(trained):
    card, _ = trained
    back = msgspec.json.decode(msgspec.json.encode(card), type=type(card)).trust.novelty.detector
    assert all(np.array_equal(mine, its) for mine, its in zip(card.trust.novelty.detector, back, strict=True))


def test_a_card_of_format_1_answers_and_accepts_nothing(trained_store, trained):
    card, params = trained
    old = msgspec.structs.replace(card, format=1, trust=None, golden=msgspec.structs.replace(card.golden, novelty=()))
    fields = msgspec.to_builtins(old)
    del fields["trust"], fields["golden"]["novelty"]  # as they were written then
    fields["reference"] = {"ink": [1], "confidence": [1], "digits": [1]}
    predictor = Predictor(
        "old",
        1,
        msgspec.convert(fields, type(card), strict=False),
        CompiledNetwork(card.layers, params, row_sizes=(4,)),
    )
    predictor.check_golden = None
    answers = predictor.read(predictor.columns(mnist.train().images[:4]))
    assert answers.verdicts is None
    assert predictor.prediction_sets(answers.probabilities, 0.9) is None
    assert predictor.reference is None


@pytest.mark.parametrize("part", Detector._fields)
def test_a_detector_that_answers_otherwise_than_published_is_refused(trained, part):
    card, params = trained
    detector = card.trust.novelty.detector
    network = CompiledNetwork(
        card.layers,
        params,
        temperature=card.calibration.temperature,
        detector=detector._replace(**{part: getattr(detector, part) + np.float32(0.5)}),
        row_sizes=(16,),
    )
    with pytest.raises(CorruptVersion, match="a golden novelty is off by"):
        Predictor("tiny", 1, card, network).check_golden()


def test_the_two_sets_of_outliers_have_no_source_in_common():
    assert TEST.seed != DEVELOPMENT.seed
    assert not set(TEST.fonts) & set(DEVELOPMENT.fonts)
    assert TEST.photo != DEVELOPMENT.photo
    assert not set(LETTERS) & set(ALIKE)
    assert len(LETTERS) + len(ALIKE) == 52


def test_outliers_are_what_they_are_called():
    digits = mnist.train().images[:300]
    found = outliers(digits)
    assert all(images.dtype == np.uint8 and images.shape[1:] == (28, 28) for images in found.values())
    assert found["blank and full"][[0, -1]].reshape(2, -1).tolist() == [[0] * 784, [255] * 784]
    assert len(found["letters"]) == len(LETTERS) * len(TEST.fonts)
    ink = found["letters"].astype(np.float64)
    centre = (ink.sum(axis=2) * np.arange(28)).sum(axis=1) / ink.sum(axis=(1, 2))
    assert np.abs(centre - 13.5).max() < 2
    assert np.array_equal(
        np.sort(255 - found["inverted"].reshape(300, -1), axis=0), np.sort(digits.reshape(300, -1), axis=0)
    )
    again = outliers(digits)
    assert all(np.array_equal(images, again[name]) for name, images in found.items())


def test_auroc_counts_pairs():
    random = np.random.default_rng(0)
    inside, outside = random.integers(0, 20, 80), random.integers(5, 25, 60)
    pairs = outside[:, None] - inside
    assert auroc(inside, outside) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_risk_by_share_is_the_error_among_the_most_certain():
    assert risk_by_share(np.array([0.5, 0.9, 0.7]), np.array([True, False, True])) == pytest.approx([0, 1 / 2, 2 / 3])


def test_figures_are_those_of_the_verdicts(measured, predictor):
    figures = measured.figures
    accepted = figures.accepted
    assert figures.images == 2000
    assert accepted.share + accepted.uncertain + accepted.not_a_digit == pytest.approx(1)
    assert accepted.errors == round(accepted.risk * accepted.answers) < measured.wrong.sum()
    assert accepted.risk < accepted.risk_at_most
    assert [family.name for family in figures.families] == [*measured.outliers]
    assert figures.mean_auroc == pytest.approx(np.mean([family.auroc for family in figures.families]))
    assert figures.mean_auroc > 0.9
    assert [(of.name, of.images) for of in figures.pictures] == [("rendered", 60), ("load_digits", 40)]
    assert all(0 < of.errors == round(of.error * of.images) < of.images / 2 for of in figures.pictures)
    for of in figures.sets[:2]:
        assert of.found > of.wanted - 0.03  # calibrated by 500
        assert 1 <= of.digits < 3
    assert [of.looks for of in figures.drift] == [31] * 3  # a full window of 500, and every 50 after it
