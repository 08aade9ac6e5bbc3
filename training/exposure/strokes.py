"""Letters, signs and digits as strokes of a pen, each time with another hand; scribbles, lines and frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from training.exposure.page import blank, draw_lines, pen_width, prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images

LETTERS: Final = (
    *("06 20 46,14 34", "41 30 10 01 05 16 36 45", "40 00 06 46,03 33", "40 00 06,03 33", "00 06,40 46,03 43"),  # A-H
    *("40 45 36 16 05", "10 50,30 35 26 16 05", "00 06,40 03 46", "00 06 46", "06 00 24 40 46", "06 00 46 40"),  # J-N
    *("06 00 30 41 42 33 03", "06 00 30 41 42 33 03,23 46", "00 40,20 26", "00 05 16 36 45 40", "00 26 40"),  # P-V
    *("00 16 22 36 40", "00 46,40 06", "00 23 40,23 26", "33 22 12 03 05 16 26 35,32 36"),  # W-Y, a
    *("43 32 12 03 05 16 36 45", "33 22 12 03 05 16 26 35,30 36", "04 44 43 32 12 03 05 16 36 45"),  # c, d, e
    *("41 30 21 26,13 33", "00 06,04 12 32 43 46", "32 36 27 17,30 30", "00 06,32 04 36"),  # f, h, j, k
    *("02 06,03 12 22 23 26,23 32 42 43 46", "02 06,03 12 32 43 46", "02 08,03 12 32 43 45 36 16 05"),  # m, n, p
    *("02 06,04 12 32", "10 15 26 36,02 32", "02 05 16 36 45 42,42 46", "02 26 42", "02 16 23 36 42"),  # r-w
    *("02 46,42 06", "02 25,42 08"),  # x, y
)
"""Points as x and y, 0…4 and 0…8 downwards, of the strokes of letters that do not look like digits."""
SIGNS: Final = (
    *("03 43,21 25", "02 42,04 44", "03 43,11 35,31 15", "10 16,30 36,02 42,04 44", "41 03 45", "01 43 05"),  # +=*#<>
    *("40 06,10 11 01 00 10,45 46 36 35 45", "46 02 11 20 31 22 04 05 16 26 44", "04 21 44"),  # percent, &, ^
    *(
        "01 10 30 41 42 33 24,26 26",
        "01 10 30 41 42 24 26",
        "42 31 11 03 04 15 35 44,03 33,04 34",
        "33 23 24 34 33 44 42 31 11 02 05 16 36",
        "04 13 23 34 44 43",
    ),  # ?, euro, @, ~
    *("41 30 10 01 02 13 33 44 45 36 16 05,20 26", "02 11 22 31 42,05 14 25 34 45", "02 42,04 44,31 15"),  # dollar
    *("02 42,20 24,06 46", "03 43,21 21,25 25", "03 13 26 40", "22 11 02 13 22 33 42 31 22", "33 11,13 31"),
    *("03 43,21 43 25", "43 03,21 03 25", "20 26,02 20 42", "20 26,04 26 44", "03 43,12 03 14,32 43 34"),  # arrows
    *(
        "40 32 25 16 05 03 12 22 34 46",
        "02 12 25 17,42 25",
        "42 32 12 03 14 24,14 05 16 36 45",
    ),  # alpha, gamma, epsilon
    *("02 06,03 12 32 43 48", "10 20 46,23 06", "02 08,05 16 26 44,42 46", "02 42,12 16,32 36"),  # eta, lambda, mu, pi
    *(
        "02 04 15 35 44 42,20 28",
        "12 03 05 16 25 23,25 36 45 43 32",
        "06 00 40",
        "20 06 46 20",
    ),  # psi, omega, Gamma, Delta
    *("06 20 46", "06 00 40 46", "40 00 23 06 46", "00 02 13 33 42 40,20 26", "00 40,13 33,06 46"),  # Lambda to Xi
    *(
        "06 16 04 02 10 30 42 44 36 46",
        "00 06 40 46",
        "46 40 10 01 02 13 43,23 06",
        "20 26,00 46,40 06",
    ),  # Omega, И, Я, Ж
)
"""Signs, arrows, Greek and Cyrillic letters, likewise."""
DIGITS: Final = (
    *("10 30 41 45 36 16 05 01 10 30", "20 26", "11 20 26", "02 20 26,06 46", "01 10 30 41 42 06 46"),  # 0, 1, 2
    *("00 40 22 43 45 36 16 05", "01 10 30 41 42 33 23,33 44 45 36 16 05", "30 04 44,30 36"),  # 3, 4
    *("00 03 43,40 46", "40 00 03 32 43 45 36 16 05", "00 03 32 43 45 36 16 05,00 40"),  # 4, 5
    *("30 12 04 05 16 36 45 44 33 13 04", "00 40 16", "00 40 16,13 33", "20 01 02 44 45 26 05 04 42 41 20"),  # 6-8
    *("42 33 13 02 01 10 30 41 46", "42 33 13 02 01 10 30 41 43 26"),  # 9
)


def written(forms: tuple[str, ...], copies: int, random: np.random.Generator) -> Images:
    """Every form, drawn so many times: uint8 [n, 28, 28]."""
    return np.stack([_picture(_hand(_lines(form), random), random) for form in forms for _ in range(copies)])


def scribbles(n: int, random: np.random.Generator) -> Images:
    """Smooth curves through random points, uint8 [n, 28, 28]."""
    return np.stack(
        [_picture([_rounded(random.uniform(-1, 1, (int(random.integers(6, 14)), 2)), 3)], random) for _ in range(n)]
    )


def lines(n: int, random: np.random.Generator) -> Images:
    """One line, far from upright, or a few; corners and frames with a side missing or none: uint8 [n, 28, 28]."""
    found = []
    for _ in range(n):
        match random.integers(0, 3):
            case 0:
                angle = random.uniform(-0.7, 0.7)  # upright ones are like 1
                end = np.array([np.cos(angle), np.sin(angle)])
                drawn = [np.stack([-end, end])]
            case 1:
                drawn = [random.uniform(-1, 1, (2, 2)) for _ in range(int(random.integers(3, 8)))]
            case _:
                width, height = random.uniform(0.5, 1, 2)
                frame = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * [width, height]
                first, sides = random.integers(0, 3), random.integers(2, 5)
                drawn = [_turned(frame[first : first + sides + 1], random.normal(0, 0.1))]
        found.append(_picture(drawn, random))
    return np.stack(found)


def _picture(drawn: list[NDArray[np.floating]], random: np.random.Generator) -> Images:
    page, draw = blank()
    draw_lines(draw, drawn, pen_width(random))
    return prepared(page)


def _lines(form: str) -> list[NDArray[np.floating]]:
    """The strokes of a form, points [n, 2] in -1…1."""
    return [
        (np.array([[int(of) for of in point] for point in stroke.split()], np.float64) - [2, 3]) / 3
        for stroke in form.split(",")
    ]


def _hand(strokes: list[NDArray[np.floating]], random: np.random.Generator) -> list[NDArray[np.floating]]:
    """The strokes as somebody writes them: points off their place, corners rounded, slanted, wide or narrow."""
    slant, aspect = random.normal(0, 0.2), np.exp(random.normal(0, 0.15))
    shape = np.array([[aspect, 0], [slant, 1]])
    rounds = int(random.integers(0, 4))
    return [_rounded(stroke + random.normal(0, 0.06, stroke.shape), rounds) @ shape * 0.9 for stroke in strokes]


def _rounded(line: NDArray[np.floating], rounds: int) -> NDArray[np.floating]:
    """A polyline [n, 2] with its corners cut off `rounds` times (Chaikin 1974); the ends stay."""
    for _ in range(rounds):
        first, then = line[:-1], line[1:]
        cut = np.stack([0.75 * first + 0.25 * then, 0.25 * first + 0.75 * then], axis=1).reshape(-1, 2)
        line = np.concatenate([line[:1], cut, line[-1:]])
    return line


def _turned(line: NDArray[np.floating], angle: float) -> NDArray[np.floating]:
    return line @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
