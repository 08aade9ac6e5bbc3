"""The body of a request, read as far as the limit and no further, and only when it is of a kind that is spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service.errors import TooLarge, WrongMediaType

if TYPE_CHECKING:
    from starlette.requests import Request

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


def check_media_type(request: Request) -> None:
    """Raises WrongMediaType unless the body is JSON in UTF-8, as it stands."""
    header = request.headers.get("content-type", "")
    media_type, *parameters = (part.strip().lower() for part in header.split(";"))
    if media_type != JSON:
        hint = f"; with curl: -H 'Content-Type: {JSON}'" if media_type in ("", FORM) else ""
        found = media_type or "nothing"
        message = f"Content-Type is {media_type}" if media_type else "Content-Type is missing"
        raise WrongMediaType(
            "unsupported_media_type", f"{message}, want {JSON}{hint}", field="Content-Type", found=found, wanted=JSON
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8"):
            raise WrongMediaType(
                "unsupported_charset",
                f"Content-Type says {parameter}, want {JSON} in UTF-8",
                field="Content-Type",
                found=parameter,
                wanted="charset=utf-8",
            )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise WrongMediaType(
            "unsupported_encoding",
            f"Content-Encoding is {encoding}, want the body as it is",
            field="Content-Encoding",
            found=encoding,
            wanted="identity",
        )


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body. Raises TooLarge, by Content-Length before anything is read, and as it arrives whatever that said."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and _exceeds(announced, limit_bytes):
        raise _too_large(f"{announced} bytes", limit_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(f"more than {limit_bytes} bytes", limit_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _exceeds(announced: str, limit_bytes: int) -> bool:
    return len(announced) > 18 or int(announced) > limit_bytes


def _too_large(found: str, limit_bytes: int) -> TooLarge:
    return TooLarge(
        "body_too_large",
        f"the body has {found}, want at most {limit_bytes}",
        found=found,
        wanted=f"at most {limit_bytes} bytes",
    )
