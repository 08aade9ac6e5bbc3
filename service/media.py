"""The media types that are spoken: how a request names what it sends and what it wants back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.errors import NotAcceptable, WrongMediaType

if TYPE_CHECKING:
    from service.headers import Headers

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
NPY: Final = "application/x-npy"
TYPES: Final = (JSON, OCTETS, NPY)
"""Of questions and of answers; the first one is the answer of whoever takes any."""
FORM: Final = "application/x-www-form-urlencoded"
WANTED: Final = f"{', '.join(TYPES[:-1])} or {TYPES[-1]}"


def type_of_body(headers: Headers) -> str:
    """One of TYPES. Raises WrongMediaType for any other, and for JSON that is not in UTF-8."""
    header = headers.get(b"content-type", b"").decode("latin-1")
    if header in TYPES:
        return header
    media_type, *parameters = (part.strip().lower() for part in header.split(";"))
    if media_type not in TYPES:
        hint = f"; with curl: -H 'Content-Type: {JSON}'" if media_type in ("", FORM) else ""
        found = media_type or "nothing"
        message = f"Content-Type is {media_type}" if media_type else "Content-Type is missing"
        raise WrongMediaType(
            "unsupported_media_type",
            f"{message}, want {WANTED}{hint}",
            field="Content-Type",
            found=found,
            wanted=WANTED,
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
    """The one of TYPES that `Accept` (RFC 9110, 12.5.1) likes best; one that names nothing takes any.

    Raises NotAcceptable when it takes none.
    """
    header = headers.get(b"accept", b"*/*").decode("latin-1")
    if header in ("*/*", JSON):
        return JSON
    weights = dict(_weighted(part) for part in header.lower().split(",") if part.strip())
    if not weights:
        return JSON
    best = max(TYPES, key=lambda media_type: _weight(weights, media_type))  # of equals the first one
    if _weight(weights, best) == 0:
        raise NotAcceptable(
            "not_acceptable", f"Accept is {header}, want {WANTED}", field="Accept", found=header, wanted=WANTED
        )
    return best


def _weighted(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip() for piece in part.split(";"))
    weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return media_range, float(weight)
    except ValueError:
        return media_range, 1.0


def _weight(weights: dict[str, float], media_type: str) -> float:
    return weights.get(media_type, weights.get("application/*", weights.get("*/*", 0.0)))
