"""Paper and boards: what is written on, a function for each, from white paper to a chalkboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from training.photos.canvas import absorbed, between, centred, covered, happens, pick, tinted, to_scene
from training.photos.glyph import printed
from training.photos.noise import fractal, smooth
from training.photos.writing import box_px, placed

if TYPE_CHECKING:
    from training.photos.canvas import Colour, Field, Random, Range, Scene, Size, Surface

RULINGS: tuple[Colour, ...] = (
    *((0.55, 0.68, 0.9), (0.6, 0.6, 0.62), (0.62, 0.55, 0.8), (0.5, 0.75, 0.62), (0.45, 0.5, 0.75)),
    *((0.4, 0.4, 0.42), (0.75, 0.6, 0.5)),
)
"""Colours of printed lines."""
FORM_INKS: tuple[Colour, ...] = (
    *((0.2, 0.2, 0.2), (0.45, 0.45, 0.45), (0.9, 0.5, 0.3), (0.3, 0.45, 0.75), (0.35, 0.65, 0.45)),
)
MARGIN_RED: Colour = (0.9, 0.45, 0.45)
SHARP, ALMOST_UPRIGHT = 1.2, (-4.0, 4.0)

CAPTIONS = ("Amount", "No.", "Code", "Day", "Class", "Points", "Page score", "Number of persons")


def white(size: Size, random: Random) -> Scene:
    """Writing paper: nearly white, with grain."""
    tint = (1.0, between(random, (0.975, 1.0)), between(random, (0.92, 1.0)))
    grain = between(random, (0.003, 0.012)) * smooth(size, max(size) / 3, random)
    return tinted(np.float32(between(random, (0.84, 0.97))) * (1 + grain + 0.008 * smooth(size, 6, random)), tint)


def clean(size: Size, random: Random) -> Scene:  # noqa: ARG001 - it is a Surface
    """A page of a drawing program: all white."""
    return np.ones((3, *size), np.float32)


def lined(size: Size, random: Random) -> Scene:
    """Paper with lines, and sometimes a red margin."""
    down, across = ruling(size, random)
    spacing = min(size) * between(random, (0.12, 0.36))
    page = absorbed(white(size, random), lines(down, spacing, _width(spacing, random), random), _ruled(random))
    if happens(random, 0.35):
        margin = lines(across, 3 * max(size), _width(spacing, random), random, phase=between(random, (0.6, 0.66)))
        page = absorbed(page, margin, MARGIN_RED)
    return page


def squared(size: Size, random: Random) -> Scene:
    """Paper with squares."""
    down, across = ruling(size, random)
    spacing = min(size) * between(random, (0.09, 0.33))
    width = _width(spacing, random)
    grid = np.maximum(lines(down, spacing, width, random), lines(across, spacing, width, random))
    return absorbed(white(size, random), grid, _ruled(random))


def ruled_or_squared(size: Size, random: Random) -> Scene:
    """Paper with lines or with squares."""
    return pick(random, (lined, squared))(size, random)


def form(size: Size, random: Random) -> Scene:
    """A printed form: a box in the middle, sometimes with a caption above it."""
    side, ink = min(size), pick(random, FORM_INKS)
    high = side * between(random, (0.66, 0.86))
    wide = high * between(random, (0.8, 1.1))
    page = _boxed(size, (high, wide), ink, random)
    if happens(random, 0.4):
        caption = printed(pick(random, CAPTIONS), "DejaVuSans", 0.04 * side)
        place = (size[0] / 2 - high / 2 - 0.045 * side, size[1] / 2 - wide / 2 + caption.shape[1] / 2)
        page = absorbed(page, placed(caption, size, place), ink)
    return page


def captioned(size: Size, random: Random) -> Scene:
    """A printed form: a box with a caption in it, close above or below the place to write."""
    side, ink = min(size), pick(random, FORM_INKS)
    high = side * between(random, (0.85, 0.95))
    page = _boxed(size, (high, high * between(random, (0.8, 1.1))), ink, random)
    caption = printed(pick(random, CAPTIONS), "DejaVuSans", between(random, (0.04, 0.07)) * side)
    below = pick(random, (-1, 1)) * between(random, (0.28, 0.36)) * side
    return absorbed(page, placed(caption, size, (size[0] / 2 + below, size[1] / 2)), ink)


def _boxed(size: Size, sides: tuple[float, float], ink: Colour, random: Random) -> Scene:
    """White paper with a printed box in the middle."""
    width = min(size) * between(random, (0.006, 0.02))
    return absorbed(white(size, random), outline(size, sides, width, between(random, ALMOST_UPRIGHT)), ink)


def comb(count: int) -> Surface:
    """A printed form with boxes in a row, one for each of `count` digits."""

    def surface(size: Size, random: Random) -> Scene:
        side, width = box_px(size, count), min(size) * between(random, (0.004, 0.014))
        rows, columns = centred(size)
        inside = (np.abs(rows) < side / 2) & (np.abs(columns) < side * count / 2)
        between_boxes = lines(columns, side, width, random, phase=0.5 * (1 - count % 2)) * inside
        boxes = np.maximum(outline(size, (side, side * count), width, 0), between_boxes)
        return absorbed(white(size, random), boxes, pick(random, FORM_INKS))

    return surface


def cells(crop: float) -> Surface:
    """Printed squares, of which the page shows `crop` times the one in the middle."""

    def surface(size: Size, random: Random) -> Scene:
        side = min(size) / crop
        down, across = ruling(size, random, (-2, 2), perspective=0.04, bend=0.002)
        width = side * between(random, (0.008, 0.035))
        offsets = random.uniform(-0.03, 0.03, 2)
        grid = np.maximum(
            lines(down, side, width, random, phase=float(offsets[0])),
            lines(across, side, width, random, phase=float(offsets[1])),
        )
        shade = between(random, (0.1, 0.55))
        return absorbed(white(size, random), grid * np.float32(between(random, (0.7, 1))), (shade, shade, shade))

    return surface


def chalkboard(size: Size, random: Random) -> Scene:
    """A board, black or green, with the dust of what was wiped off."""
    colour = pick(random, ((0.12, 0.24, 0.19), (0.15, 0.29, 0.22), (0.13, 0.13, 0.14), (0.2, 0.22, 0.24)))
    board = tinted(1 + 0.05 * fractal(size, 4, random, 4), colour)
    dust = np.clip(0.35 + 0.5 * fractal(size, 3, random, 5, stretch=between(random, (1, 6))), 0, 1)
    return covered(board, dust * np.float32(between(random, (0.03, 0.16))), (0.85, 0.86, 0.84))


def whiteboard(size: Size, random: Random) -> Scene:
    """A white board, with faint colours of what was wiped off."""
    tone = between(random, (0.78, 0.92))
    board = tinted(tone * (1 + 0.012 * smooth(size, 3, random)), (0.985, 1.0, 1.0))
    wiped = np.clip(fractal(size, 3, random, 4, stretch=3) - 0.4, 0, 1) * np.float32(between(random, (0.0, 0.09)))
    return absorbed(board, wiped, pick(random, ((0.3, 0.3, 0.35), (0.3, 0.35, 0.7), (0.7, 0.3, 0.3))))


def dark_screenshot(size: Size, random: Random) -> Scene:
    """A page in dark mode with a frame to draw in, lines of text as bars, and buttons."""
    dark, area = between(random, (0.03, 0.14)), between(random, (0.0, 0.16))
    height, width = size
    border = min(size) * between(random, (0.06, 0.14))
    page = Image.new("RGB", (width, height), _grey(dark))
    draw = ImageDraw.Draw(page)
    accent = pick(random, (_grey(between(random, (0.3, 0.85))), (70, 120, 220), (60, 170, 110)))
    thickness = max(round(min(size) * between(random, (0.003, 0.014))), 2)
    box = (border, border, width - border, height - border)
    radius = pick(random, (0, 8, 24))
    draw.rounded_rectangle(box, radius, fill=_grey(area), outline=accent, width=thickness)
    if happens(random, 0.5):
        bar = border * 0.25
        draw.rounded_rectangle((border, bar, border + width * between(random, (0.1, 0.4)), 2.2 * bar), 3, _grey(0.6))
    if happens(random, 0.4):
        top = height - 0.8 * border
        for index in range(int(random.integers(1, 4))):
            left = border + index * width * 0.22
            draw.rounded_rectangle((left, top, left + width * 0.18, top + 0.5 * border), 5, _grey(dark + 0.15))
    return to_scene(page)


def ruling(
    size: Size, random: Random, turned_deg: Range = ALMOST_UPRIGHT, perspective: float = 0.1, bend: float = 0.006
) -> tuple[Field, Field]:
    """Places on a sheet seen a little from the side: down it and across it, float32 [h, w] each, in pixels."""
    rows, columns = centred(size)
    angle = np.deg2rad(between(random, turned_deg))
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    down, across = rows * cos - columns * sin, columns * cos + rows * sin
    lean = random.uniform(-perspective, perspective, 2).astype(np.float32) / np.float32(max(size))
    near = 1 / (1 + lean[0] * down + lean[1] * across)
    curl = np.float32(bend * max(size)) * smooth(size, 2, random)
    return down * near + curl, across * near


def lines(places: Field, spacing: float, width: float, random: Random, phase: float | None = None) -> Field:
    """Coverage float32 [h, w] by lines `spacing` and `width` pixels apart and wide; phase 0.5 has one at place 0."""
    begin = between(random, (0, 1)) if phase is None else phase
    away = np.abs((places / np.float32(spacing) + np.float32(begin)) % 1 - np.float32(0.5)) * np.float32(spacing)
    return np.clip((np.float32(width / 2) - away) / np.float32(SHARP) + np.float32(0.5), 0, 1)


def outline(size: Size, sides: tuple[float, float], width: float, angle_deg: float) -> Field:
    """Coverage of a page by a rectangle's outline around its middle, turned; `sides` are its height and width."""
    rows, columns = centred(size)
    angle = np.deg2rad(angle_deg)
    down = np.abs(rows * np.float32(np.cos(angle)) - columns * np.float32(np.sin(angle))) - np.float32(sides[0] / 2)
    across = np.abs(columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))) - np.float32(sides[1] / 2)
    away = np.abs(np.maximum(down, across))  # 0 on the rectangle
    return np.clip((np.float32(width / 2) - away) / np.float32(SHARP) + np.float32(0.5), 0, 1)


def _ruled(random: Random) -> Colour:
    """A colour of lines, more or less faint."""
    strength = between(random, (0.35, 1.0))
    red, green, blue = pick(random, RULINGS)
    return 1 - strength * (1 - red), 1 - strength * (1 - green), 1 - strength * (1 - blue)


def _width(spacing: float, random: Random) -> float:
    """The width of printed lines, in pixels."""
    return max(spacing * between(random, (0.015, 0.05)), 1.2)


def _grey(level: float) -> tuple[int, int, int]:
    value = round(255 * level)
    return value, value, value
