"""Pictures of digits in files, and how far what is made of them is from MNIST's own."""

import io

import numpy as np
from PIL import Image

from service.protocols.native.image_file import decode_image, open_image
from training import mnist

PNG, JPEG, WEBP, GIF, BMP, TIFF = (f"image/{kind}" for kind in ("png", "jpeg", "webp", "gif", "bmp", "tiff"))
TRAIN = mnist.train()


def encoded(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def large(row=0, times=10, room=30, ink="white", how=Image.Resampling.NEAREST):
    """A digit of MNIST enlarged, on paper with some room to the left and at the top."""
    side = 28 * times
    picture = Image.new("L", (side + room, side + room))
    picture.paste(Image.fromarray(TRAIN.images[row]).resize((side, side), how), (room, room))
    return picture if ink == "white" else picture.point(lambda level: 255 - level)


def decoded(body, media_type=PNG, ink=None, limit_pixels=10**6):
    images, many = decode_image(open_image(body, media_type, limit_pixels), ink)
    assert images.shape == (1, 28, 28)
    assert not many
    return images[0]


def off(image, row=0):
    """The mean difference from MNIST's own picture, in grey levels of 255."""
    return np.abs(image.astype(int) - TRAIN.images[row]).mean()


WHITE = large(ink="white")
BLACK = large(ink="black")
