"""A picture of a digit, of any size and colours, prepared as NIST's were for MNIST: uint8 [28, 28], 255 is ink.

The only preprocessing of pictures, in steps, each a file here:

1. `levels`: grey levels, upright, transparent parts laid on paper, of bounded size;
2. `light`: the paper's grey level everywhere, by a morphological closing, and how much darker each pixel is;
3. `binarise`: thresholds between paper and ink; `lines`: long thin lines, which are no ink;
4. `view`: every way to see ink: its colour, the width of strokes, the threshold;
5. `parts`: connected parts and groups of them; `plausibility`, `find`: the group that is most likely the digit;
   `glare`: whether it is bleached; `hollow`: whether it is the rim of an area;
6. `cut_out`: the ink of that group alone; `line`: several digits, and pieces of those that touch;
7. `place`: the ink fills 20 x 20, with its centre of mass in the middle of 28 x 28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.picture.levels import FAINTEST as FAINTEST
from training.picture.levels import LONGEST as LONGEST
from training.picture.levels import UNSTATED_MODES as UNSTATED_MODES
from training.picture.levels import Ink as Ink
from training.picture.levels import Levels as Levels
from training.picture.levels import NoInk as NoInk
from training.picture.levels import levels as levels
from training.picture.light import polarity as polarity
from training.picture.line import Line as Line
from training.picture.line import find_line as find_line
from training.picture.place import fitted as fitted

if TYPE_CHECKING:
    from PIL import Image

    from training.images import Images


def prepare(picture: Image.Image, ink: Ink | None = None) -> Images:
    """The most plausible digit as uint8 [28, 28]; the colour of the ink is found unless it is given. Raises NoInk."""
    return find_line(levels(picture, ink), ink, alone=True).image
