"""Pictures of any size and colours become what MNIST would have made of them, and those that show nothing are told."""

import contextlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.support.pictures import TRAIN, large, off
from training.evaluation.rendered_digits import rendered_digits, uci_digits
from training.picture import NoInk, levels, polarity, prepare


def photo(row=0, noise=4.0):
    """A digit as a phone would see it: small, on grey paper in uneven light, with a hard shadow, blurred, noisy."""
    rng = np.random.default_rng(row)
    ink = np.zeros((480, 640), np.float32)
    ink[150:374, 200:424] = np.asarray(large(row, 8, 0, how=Image.Resampling.BICUBIC), np.float32) / 255
    light = 190 + np.linspace(-50, 40, 640) + np.linspace(-20, 20, 480)[:, None]
    light[:, 330:] *= 0.7
    seen = light * (1 - 0.75 * ink) + rng.normal(0, noise, ink.shape)
    return Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))


@pytest.mark.parametrize("ink", ["white", "black"])
@pytest.mark.parametrize("times", [1, 4, 13, 20])
def test_a_digit_of_mnist_made_large_and_shifted_comes_back_as_it_was(times, ink):
    assert [off(prepare(large(row, times, 7, ink)), row) for row in range(20)] == pytest.approx([0] * 20, abs=1)


@pytest.mark.parametrize("how", ["BILINEAR", "BICUBIC", "LANCZOS"])
def test_nearly_so_when_it_was_enlarged_smoothly(how):
    found = [off(prepare(large(row, 9, 11, how=Image.Resampling[how])), row) for row in range(60)]
    assert np.median(found) < 8  # MNIST's mean is 33; a few are a pixel off, which is a rounded centre of mass


def test_the_ink_fills_20_x_20_and_has_its_centre_of_mass_in_the_middle():
    for row in range(20):
        image = prepare(large(row, 7, 40, "black", Image.Resampling.BICUBIC)).astype(float)
        strong = np.argwhere(image > 100)
        assert 19 <= np.ptp(strong, axis=0).max() + 1 <= 20
        centre = [np.arange(28) @ image.sum(1 - axis) / image.sum() for axis in (0, 1)]
        assert centre == pytest.approx([14, 14], abs=0.51)


def test_the_border_says_what_is_paper_unless_somebody_else_does():
    assert polarity(levels(large(ink="white"))) == "white"
    assert polarity(levels(large(ink="black"))) == "black"
    turned = large(row=1, ink="black")  # a zero: within it is paper, around it is paper, and that would be the ink
    with contextlib.suppress(NoInk):
        assert off(prepare(turned, "white"), 1) > 20


def test_a_photo_with_a_shadow_and_noise_comes_out_as_the_digit_alone_does():
    clean = [prepare(large(row, 8, 0, how=Image.Resampling.BICUBIC)).astype(int) for row in range(20)]
    for row in range(20):
        seen = prepare(photo(row))
        shifted = [np.roll(seen, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]  # a centre of mass is rounded
        assert min(np.abs(image - clean[row]).mean() for image in shifted) < 10  # MNIST's mean is 33


def test_specks_are_no_ink_and_neither_is_what_reaches_in_from_beyond_the_edge():
    wanted = prepare(large(room=60, ink="black"))
    picture = large(room=60, ink="black")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 20, 24, 24), fill=0)
    draw.rectangle((0, 200, 12, 339), fill=30)  # the rim of the table
    assert np.abs(prepare(picture).astype(int) - wanted).mean() < 0.5


def test_a_line_of_one_pixel_is_drawn_with_a_pen_that_mnist_has():
    picture = Image.new("L", (600, 600), 255)
    ImageDraw.Draw(picture).line([(200, 100), (400, 100), (280, 500)], fill=0)
    image = prepare(picture)
    assert 1.2 < (image / 255).sum() / 30.5 < 2  # ink for each pixel of its length: 10 + 20 / cos(17 degrees)


def test_a_blot_has_no_strokes_and_a_ring_has():
    for draw_blot in ("ellipse", "rectangle"):
        for room in (4, 30, 200):
            picture = Image.new("L", (300, 300), 255)
            getattr(ImageDraw.Draw(picture), draw_blot)((40, 40, 40 + room, 40 + room), fill=0)
            with pytest.raises(NoInk):
                prepare(picture)
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).ellipse((40, 40, 240, 240), outline=0, width=40)
    assert prepare(picture).any()
    ImageDraw.Draw(picture).rectangle((0, 0, 300, 300), fill=255)
    ImageDraw.Draw(picture).rectangle((140, 40, 170, 240), fill=0)  # a one
    assert prepare(picture).any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_colour_has_no_ink(level):
    for picture in (Image.new("L", (300, 200), level), Image.new("L", (1, 1), level)):
        with pytest.raises(
            NoInk,
            match=r"^the picture has no (black|white) strokes that could be a digit, "
            r"want connected lines on plain paper$",
        ):
            prepare(picture)


def test_neither_has_the_photo_of_a_sheet_of_paper():
    rng = np.random.default_rng(0)
    light = 200 + np.linspace(-40, 40, 640) + rng.normal(0, 4, (480, 640))
    with pytest.raises(NoInk):
        prepare(Image.fromarray(light.astype(np.uint8)))


def test_digits_that_come_as_pictures_are_read_as_well(trained_store):
    from training.predictor import Predictor

    predict = Predictor.load(trained_store, "tiny", row_sizes=(250,))
    few = TRAIN.take(np.arange(10_000, 10_150))

    def wrong(digits):
        return int((predict(digits.images).argmax(axis=1) != digits.labels).sum())

    as_pictures, uci = rendered_digits(few, 1000), uci_digits(50)
    assert as_pictures.labels.tolist() == few.labels.tolist()
    assert len(uci) == 50
    assert wrong(as_pictures) <= wrong(few) + 10
    assert wrong(uci) < 25
