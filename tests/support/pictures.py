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
    line = decode_image(open_image(body, media_type, limit_pixels), ink)
    return line.image


def off(image, row=0):
    """The mean difference from MNIST's own picture, in grey levels of 255."""
    return np.abs(image.astype(int) - TRAIN.images[row]).mean()


WHITE = large(ink="white")
BLACK = large(ink="black")


def written(*rows, gap=4, times=8):
    """Digits of MNIST side by side on white paper, `gap` of MNIST's pixels apart, enlarged smoothly."""
    space = np.zeros((28, gap), np.uint8)
    joined = []
    for row in rows:
        joined += [space, TRAIN.images[row][:, np.flatnonzero(TRAIN.images[row].any(axis=0))]]
    page = np.pad(np.concatenate(joined[1:], axis=1), 14)
    size = page.shape[1] * times, page.shape[0] * times
    return Image.fromarray(255 - page).resize(size, Image.Resampling.BICUBIC)
