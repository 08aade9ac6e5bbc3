"""One digit on a page: the settings of its families, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from training.photos import held_out, light, paper, scene, writing
from training.photos.camera import SCREEN, Camera
from training.photos.drawing import of_digit
from training.photos.family import Family, Photo
from training.photos.pen import BALLPOINTS, CHALKS, FELT_PENS, LIGHTS, MARKERS, PENCIL, PENS
from training.photos.setting import Setting
from training.photos.thumbnail import thumbnail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from training.data.digits import Labels
    from training.images import Images
    from training.photos.canvas import Random
    from training.photos.family import Draw

CROPS = (0.7, 0.8, 1.0, 1.3, 1.6)
"""Sides of pictures of a printed square, relative to the square's."""
BLURRED = Camera(blur_px=(4, 9), moved=0.35)
ROUGH = light.several(light.shadow, light.vignette, light.folds, light.glare, scene.thumb, limits=(1, 3))
SETTINGS: Mapping[str, tuple[str, Setting]] = {
    "pen": ("pen on white paper", Setting()),
    "jpeg": ("JPEG of quality 30", Setting(camera=Camera(quality=(25, 35)))),
    "rotated": ("rotated by 15 degrees", Setting(angle_deg=(12, 18))),
    "small": ("small and off centre", Setting(height=(0.14, 0.26), away=0.4)),
    "chalkboard": ("chalkboard", Setting(paper.chalkboard, CHALKS)),
    "blur": ("out of focus, or moved", Setting(inks=FELT_PENS, camera=BLURRED)),
    "low_light": ("low light", Setting(layers=(light.dusk,), camera=Camera(noise=(0.005, 0.015)))),
    "lined": ("lined paper", Setting(paper.lined)),
    "squared": ("squared paper", Setting(paper.squared)),
    "shadow": ("a shadow across", Setting(layers=(light.daylight, light.shadow))),
    "vignette": ("strong vignette", Setting(layers=(light.vignette,))),
    "crumpled": ("crumpled paper", Setting(layers=(light.folds, light.daylight))),
    "whiteboard": ("whiteboard with glare", Setting(paper.whiteboard, MARKERS, layers=(light.glare,))),
    "desk": ("sheet on a desk, tilted", Setting(layers=(scene.on_desk, light.daylight))),
    "dark_screenshot": (
        "dark screenshot with a frame",
        Setting(paper.dark_screenshot, LIGHTS, (0.3, 0.55), layers=(), camera=SCREEN),
    ),
    "form": ("one digit in a printed box of a form", Setting(paper.form, PENS, (0.34, 0.52), away=0.04)),
    "caption": (
        "one digit beside a printed caption",
        Setting(paper.captioned, PENS, (0.34, 0.52), away=0.03),
    ),
    "thumb": ("a thumb in the corner", Setting(height=(0.34, 0.55), away=0.04, layers=(light.daylight, scene.thumb))),
    "together": (
        "all together",
        Setting(
            paper.ruled_or_squared,
            (*PENS, PENCIL),
            (0.3, 0.6),
            (-14, 14),
            layers=(light.daylight, ROUGH),
            camera=Camera((0.8, 3.5), 0.2, (0.006, 0.022), (25, 70), (0.5, 1)),
        ),
    ),
}
"""Families of one digit on a page: name -> title and setting."""
HELD_OUT: Mapping[str, tuple[str, Setting]] = {
    "kraft": ("envelope of kraft paper", Setting(held_out.kraft, PENS)),
    "napkin": ("napkin", Setting(held_out.napkin, FELT_PENS, spread=held_out.bleeding)),
    "receipt": ("receipt with printed lines", Setting(held_out.receipt, BALLPOINTS, (0.28, 0.44), away=0.03)),
    "graph": ("graph paper with strong lines", Setting(held_out.graph, PENS)),
    "blinds": ("pencil in the light of blinds", Setting(held_out.grey, (PENCIL,), layers=(held_out.blinds,))),
    "note": ("sticky note", Setting(held_out.note, PENS, aspect=(1, 1.05), layers=(held_out.stuck,))),
    "glossy": ("glossy page with two lamps", Setting(held_out.glossy, FELT_PENS, layers=(held_out.lamps,))),
    "smudged": ("smudged ink", Setting(inks=FELT_PENS, spread=held_out.smudged)),
    "screen": ("photo of a screen", Setting(held_out.monitor, FELT_PENS, (0.3, 0.55), layers=(held_out.moire,))),
}
"""Families of one digit that no choice is made on: name -> title and setting."""
CELL = Setting(
    height=(0.4, 0.7),
    angle_deg=(-4, 4),
    aspect=(1, 1),
    camera=Camera((0.6, 2.2), 0.0, (0.006, 0.02), (60, 92), (0.2, 0.7)),
)
"""A printed square with a digit; heights are relative to the square."""
UNDERLINED = Setting(height=(0.3, 0.55))
DATE = Setting(height=(0.42, 0.6), away=0.03, aspect=(1, 1.2))


def one_digit() -> list[Family]:
    """The families of one digit, those held out last."""
    return [
        *(Family(name, title, "digit", _alone(setting)) for name, (title, setting) in SETTINGS.items()),
        Family("thumbnail", "small picture, cut close to the ink", "digit", thumbnail),
        Family("at_edge", "the digit touches an edge", "digit", _at_edge),
        Family("underlined", "a line below the digit, or above it", "digit", _underlined),
        Family("date", "neighbours in a date at the edges", "digit", _date),
        *(
            Family(f"cell_{crop}", f"cell of printed squares, cropped at {crop}", "digit", _cell(crop))
            for crop in CROPS
        ),
        *(Family(name, title, "digit", _alone(setting), held_out=True) for name, (title, setting) in HELD_OUT.items()),
    ]


def _alone(setting: Setting) -> Draw:
    def draw(images: Images, labels: Labels, random: Random) -> Photo:
        return Photo(setting.taken(writing.one(of_digit(images[0])), random), str(labels[0]))

    return draw


def _at_edge(images: Images, labels: Labels, random: Random) -> Photo:
    return Photo(Setting().taken(writing.at_edge(of_digit(images[0])), random), str(labels[0]))


def _underlined(images: Images, labels: Labels, random: Random) -> Photo:
    return Photo(UNDERLINED.taken(writing.underlined(of_digit(images[0])), random), str(labels[0]))


def _date(images: Images, labels: Labels, random: Random) -> Photo:
    neighbours = [of_digit(images[index]) for index in (1, 0, 2)]
    return Photo(DATE.taken(writing.date(neighbours), random), str(labels[0]))


def _cell(crop: float) -> Draw:
    setting = replace(CELL, paper=paper.cells(crop), height=(CELL.height[0] / crop, CELL.height[1] / crop))

    def draw(images: Images, labels: Labels, random: Random) -> Photo:
        order = (1, 2, 3, 4, 0, 5, 6, 7, 8)  # the first is in the middle
        around = [of_digit(images[index]) for index in order]
        return Photo(setting.taken(writing.cells(around, crop), random), str(labels[0]))

    return draw
