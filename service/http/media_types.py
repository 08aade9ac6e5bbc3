"""Media types, and content negotiation: Content-Type of request bodies, Accept for responses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.errors import NotAcceptable, WrongMediaType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.headers import Headers

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
NPY: Final = "application/x-npy"
TYPES: Final = (JSON, OCTETS, NPY)
"""Media types of request and response bodies; the first one is the default of responses."""
PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
WEBP: Final = "image/webp"
GIF: Final = "image/gif"
BMP: Final = "image/bmp"
TIFF: Final = "image/tiff"
PICTURES: Final = (PNG, JPEG, WEBP, GIF, BMP, TIFF)
"""Media types of request bodies only."""
FORM_DATA: Final = "multipart/form-data"
"""A form with image files."""
IMAGES: Final = (*PICTURES, FORM_DATA)
"""Media types of request bodies with image files."""
ALIASES: Final = {"image/jpg": JPEG, "image/x-ms-bmp": BMP}
"""Names that clients give to media types -> the registered ones."""
HEIC: Final = "image/heic"
AVIF: Final = "image/avif"
SAVE: Final = "save it as JPEG or PNG"
"""What to do with a picture in any other format."""
BEGINNINGS: Final = {
    PNG: rb"\x89PNG\r\n\x1a\n",
    JPEG: rb"\xff\xd8\xff",
    WEBP: rb"RIFF....WEBP",
    GIF: rb"GIF8",
    BMP: rb"BM",
    TIFF: rb"II[*+]\0|MM\0[*+]",
    HEIC: rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)",
    AVIF: rb"....ftypavi[fs]",
    "application/pdf": rb"%PDF",
}
"""Media type -> regular expression of the magic bytes."""
FORM_BEGINS: Final = re.compile(rb"--[^\r\n]{1,250}\r\nContent-(Disposition|Type): ", re.IGNORECASE)
JSON_HEADER: Final = JSON.encode()
ANY: Final = b"*/*"
FORM: Final = "application/x-www-form-urlencoded"
CURL_HINT: Final = f"; with curl: -H 'Content-Type: {JSON}'"
HINTS: Final = {
    "": CURL_HINT,
    FORM: CURL_HINT,
    "text/plain": f'; with fetch: headers: {{"Content-Type": "{JSON}"}}',
}
"""Content-Type that clients add to a text where nobody has set one -> what to set."""


def type_of_body(headers: Headers, types: Sequence[str] = (*TYPES, *IMAGES)) -> str:
    """The media type in Content-Type. Raises WrongMediaType if it is none of `types`, or JSON not in UTF-8."""
    given = headers.get(b"content-type", b"")
    if given == JSON_HEADER:
        return JSON
    header = given.decode("latin-1")
    media_type, *parameters = (part.strip().lower() for part in header.split(";"))
    media_type = ALIASES.get(media_type, media_type)
    if media_type not in types:
        hint = HINTS.get(media_type, "")
        if media_type.startswith("image/") and PNG in types:
            hint = f"; {SAVE}"
        found, wanted = media_type or "nothing", _listed(types)
        message = f"Content-Type is {media_type}" if media_type else "Content-Type is missing"
        raise WrongMediaType(
            "unsupported_media_type",
            f"{message}, want {wanted}{hint}",
            field="Content-Type",
            found=found,
            wanted=wanted,
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if media_type == JSON and name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8"):
            raise WrongMediaType(
                "unsupported_charset",
                f"Content-Type says {parameter}, want {JSON} in UTF-8",
                field="Content-Type",
                found=parameter,
                wanted="charset=utf-8",
            )
    return media_type


def type_of_answer(headers: Headers) -> str:
    """The media type of TYPES with the greatest weight in Accept (RFC 9110, 12.5.1); without an Accept, JSON.

    Raises NotAcceptable when Accept allows none of TYPES.
    """
    given = headers.get(b"accept", ANY)
    if given in (ANY, JSON_HEADER):
        return JSON
    header = given.decode("latin-1")
    weights = dict(_weighted(part) for part in header.lower().split(",") if part.strip())
    if not weights:
        return JSON
    best = max(TYPES, key=lambda media_type: _weight(weights, media_type))  # the first one of equal weight
    if _weight(weights, best) == 0:
        wanted = _listed(TYPES)
        raise NotAcceptable(
            "not_acceptable", f"Accept is {header}, want {wanted}", field="Accept", found=header, wanted=wanted
        )
    return best


def begins_as(body: bytes) -> str | None:
    """The media type that the first bytes of a file tell."""
    return next((kind for kind, magic in BEGINNINGS.items() if re.match(magic, body, re.DOTALL)), None)


def misplaced(body: bytes) -> str:
    """The end of an error about a body that is an image file or a form, and was read as something else; or empty."""
    kind = begins_as(body)
    if kind in PICTURES:
        return f"; it is an image file, which POST /predict takes with Content-Type: {kind}"
    if kind:
        return f"; it is {kind}, {SAVE}"
    if FORM_BEGINS.match(body):
        return (
            f"; it is a form, which POST /predict takes with Content-Type: {FORM_DATA} and the boundary that HTTP "
            "clients add themselves"
        )
    return ""


def _listed(types: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(types[:-1]), types[-1]) if part)


def _weighted(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip() for piece in part.split(";"))
    weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return media_range, float(weight)
    except ValueError:
        return media_range, 1.0


def _weight(weights: dict[str, float], media_type: str) -> float:
    return weights.get(media_type, weights.get("application/*", weights.get("*/*", 0.0)))
