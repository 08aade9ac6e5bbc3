"""Outliers: families of pictures that show no digit, from letters and shapes to blank paper."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from training.photos import code, drawing, held_out, light, paper, scene, shape, writing
from training.photos.camera import SCREEN
from training.photos.canvas import happens, pick
from training.photos.family import Family, Photo
from training.photos.glyph import GREEK, SIGNS, written
from training.photos.pen import BROAD_PENS, FELT_PENS, PRINT
from training.photos.setting import Setting
from training.photos.sources import ALIKE, LETTERS, TEST, Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.data.digits import Labels
    from training.images import Images
    from training.photos.canvas import Field, Random, Scene, Size, Surface
    from training.photos.drawing import Drawing
    from training.photos.family import Draw
    from training.photos.pen import Ink

    Sketch = Callable[[Random], Drawing]
    Mark = Callable[[float, Random], Field]

PAPER = Setting()
PROGRAM = Setting(paper.clean, (FELT_PENS[0], FELT_PENS[-1]), layers=(), camera=SCREEN)
"""A page of a drawing program."""
AREAS = ("shapes", "blots")
"""Sketches with areas to be filled."""
PRINTED = tuple(replace(setting, inks=(PRINT,), height=(0.4, 0.9)) for setting in (PAPER, PROGRAM))


def outliers(sources: Sources) -> list[Family]:
    """The families; those of `DEVELOPMENT` and of `TEST` have no source in common where there are two.

    Blank paper is the same in both.
    """
    test = sources == TEST
    sketches: dict[str, tuple[str, Sketch]] = {
        "letters": ("letters", _character(LETTERS, sources.fonts)),
        "signs": ("signs", _character(SIGNS, sources.symbols)),
        "greek": ("Greek letters", _character(GREEK, sources.symbols)),
        "alike": ("letters that look like digits", _character(ALIKE, sources.fonts)),
        "scribbles": ("scribbles", drawing.hatching if test else drawing.scribble),
        "shapes": ("shapes", _one_of(shape.TEST_SHAPES if test else shape.SHAPES)),
        "faces": ("faces", drawing.cat if test else drawing.smiley),
        "blots": ("blots", drawing.spill if test else drawing.blot),
    }
    blank: dict[str, tuple[str, Setting]] = {
        "photographs": ("photographs of anything", Setting(_anything(sources.photo), layers=())),
        "blank_shadowed": ("blank paper with a shadow", Setting(layers=(light.daylight, light.shadow))),
        "blank_crumpled": ("blank crumpled paper", Setting(layers=(light.folds, light.daylight))),
        "blank_lined": ("blank lined or squared paper", Setting(paper.ruled_or_squared)),
        "blank_desk": ("blank sheet on a desk", Setting(layers=(scene.on_desk, light.daylight))),
    }
    unseen: dict[str, tuple[str, Setting]] = {
        "blank_blinds": ("blank paper in the light of blinds", Setting(held_out.grey, layers=(held_out.blinds,))),
        "blank_receipt": ("receipt", Setting(held_out.receipt)),
    }
    return [
        *(
            Family(name, title, "outlier", _sketched(sketch, BROAD_PENS if name in AREAS else None))
            for name, (title, sketch) in sketches.items()
        ),
        Family("codes", "codes for scanners", "outlier", _stamped(code.data_matrix if test else code.qr)),
        *(Family(name, title, "outlier", _blank(setting)) for name, (title, setting) in blank.items()),
        *(Family(name, title, "outlier", _blank(setting), held_out=True) for name, (title, setting) in unseen.items()),
    ]


def _sketched(sketch: Sketch, pens: tuple[Ink, ...] | None) -> Draw:
    """A drawing on paper or in a drawing program, by any pen or by some."""
    settings = [replace(setting, inks=pens or setting.inks) for setting in (PAPER, PROGRAM)]

    def draw(images: Images, labels: Labels, random: Random) -> Photo:  # noqa: ARG001 - it is a Draw
        return Photo(pick(random, settings).taken(writing.one(sketch(random)), random), "")

    return draw


def _stamped(mark: Mark) -> Draw:
    def draw(images: Images, labels: Labels, random: Random) -> Photo:  # noqa: ARG001 - it is a Draw
        write = writing.stamped(lambda height_px: mark(height_px, random))
        return Photo(pick(random, PRINTED).taken(write, random), "")

    return draw


def _blank(setting: Setting) -> Draw:
    def draw(images: Images, labels: Labels, random: Random) -> Photo:  # noqa: ARG001 - it is a Draw
        return Photo(setting.taken(writing.nothing, random), "")

    return draw


def _character(characters: str, fonts: Sequence[str]) -> Sketch:
    return lambda random: written(pick(random, characters), pick(random, fonts), random)


def _one_of(sketches: Sequence[Sketch]) -> Sketch:
    return lambda random: pick(random, sketches)(random)


def _anything(photo: str) -> Surface:
    """A part of a photograph, or a texture."""
    part = scene.photograph(photo)

    def surface(size: Size, random: Random) -> Scene:
        return (part if happens(random, 0.7) else scene.stone)(size, random)

    return surface
