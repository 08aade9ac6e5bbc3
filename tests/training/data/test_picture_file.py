"""Picture files are read as the service reads them."""

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import BLACK, JPEG, PNG, TIFF, WEBP, decoded, encoded
from training.data.pictures import read_picture


@pytest.mark.parametrize("media_type", [JPEG, PNG, WEBP, TIFF])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_with_an_orientation_is_what_the_service_sees(media_type, orientation):
    """A TIFF was turned twice: by Pillow, and by what its orientation had been."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = encoded(BLACK.crop((0, 20, *BLACK.size)), media_type.removeprefix("image/"), exif=exif)
    assert np.array_equal(read_picture(body)[0], decoded(body, media_type))


def test_the_colour_of_the_ink_is_that_of_the_digit_and_not_of_the_border():
    on_a_desk = Image.new("L", (400, 400))
    on_a_desk.paste(BLACK, (45, 45))
    image, ink = read_picture(encoded(on_a_desk))
    assert ink == "black"
    assert np.array_equal(image, decoded(encoded(on_a_desk)))
