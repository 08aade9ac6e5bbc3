"""HTML forms (multipart/form-data, RFC 7578) -> the image files in them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import MalformedBody, TooLarge, WrongMediaType, WrongValue, shortened
from service.http.media_types import FORM_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from python_multipart.multipart import MultipartCallbacks

LIMIT_FILES: Final = 64
"""Maximum number of files: each takes about 20 ms to prepare, and a form has 30 s."""
SPARE_PARTS: Final = 16
"""Parts that a form may have beside its files, for an error that names one of them."""
WANTED: Final = "a form with one file or several, each a picture, as curl -F file=@seven.png sends it"


class FormFile(NamedTuple):
    """A file of a form: the name of its field, its own name, its Content-Type, each perhaps empty, and its bytes."""

    field: str
    name: str
    media_type: str
    content: bytes


@contextmanager
def named_errors(file: FormFile) -> Iterator[None]:
    """Adds the name of a file to errors about it."""
    try:
        yield
    except (MalformedBody, TooLarge, WrongMediaType, WrongValue) as error:
        message = f"{file.name or file.field}: {error}"
        raise type(error)(error.code, message, field=file.field, found=error.found, wanted=error.wanted) from None


class _Part:
    """A part while it is parsed: headers by name in lower case, and the pieces of its content."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.name = self.value = b""
        self.content: list[bytes] = []


def decode_form(body: bytes, content_type: bytes, *, limit_rows: int) -> list[FormFile]:
    """The files of a form, in their order; a file input without a file, which browsers send empty, is left out.

    Raises MalformedBody, TooLarge for more files than LIMIT_FILES or `limit_rows`, WrongValue for a form without files
    and for a field that is a text.
    """
    limit = min(limit_rows, LIMIT_FILES)
    files = [file for file in map(_file, _parts(body, _boundary(content_type), limit + SPARE_PARTS)) if file]
    if not files:
        message = f"the form has no file, want {WANTED}"
        raise WrongValue("missing_field", message, found="no file", wanted=WANTED)
    if len(files) > limit:
        found, wanted = f"{len(files)} files", f"at most {limit}"
        raise TooLarge("too_many_pictures", f"the form has {found}, want {wanted}", found=found, wanted=wanted)
    return files


def _boundary(content_type: bytes) -> bytes:
    """The boundary in a Content-Type. Raises MalformedBody."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        wanted = "the boundary between the parts, which HTTP clients add where Content-Type is left to them"
        message = f"Content-Type is {FORM_DATA} without a boundary, want {wanted}"
        raise MalformedBody("invalid_form", message, field="Content-Type", found="no boundary", wanted=wanted)
    return boundary


def _parts(body: bytes, boundary: bytes, limit: int) -> list[_Part]:
    """The parts of a body. Raises MalformedBody, and TooLarge for more than `limit` parts, before any is parsed."""
    found = body.count(b"\r\n--" + boundary)
    if found > limit:
        wanted = f"at most {limit}"
        raise TooLarge("too_many_parts", f"the form has {found} parts, want {wanted}", found=f"{found}", wanted=wanted)
    parts: list[_Part] = []
    ended = []

    def field(data: bytes, start: int, end: int) -> None:
        parts[-1].name += data[start:end]

    def value(data: bytes, start: int, end: int) -> None:
        parts[-1].value += data[start:end]

    def header() -> None:
        part = parts[-1]
        part.headers[part.name.lower()] = part.value
        part.name = part.value = b""

    callbacks: MultipartCallbacks = {
        "on_part_begin": lambda: parts.append(_Part()),
        "on_header_field": field,
        "on_header_value": value,
        "on_header_end": header,
        "on_part_data": lambda data, start, end: parts[-1].content.append(data[start:end]),
        "on_end": lambda: ended.append(True),
    }
    try:
        parser = MultipartParser(boundary, callbacks)
    except FormParserError as error:
        raise _invalid(str(error)) from None
    try:
        parser.write(body)
    except FormParserError as error:
        begins = body.lstrip(b"\r\n").startswith(b"--" + boundary)
        raise _invalid(
            str(error) if begins else "it does not begin with the boundary that Content-Type names"
        ) from None
    if not ended:
        raise _invalid("it has no end, the last boundary and two hyphens" if body else "it is empty")
    return parts


def _file(part: _Part) -> FormFile | None:
    """The file of a part; None for a file input without a file. Raises MalformedBody, WrongValue for a text."""
    disposition, options = parse_options_header(part.headers.get(b"content-disposition", b""))
    if disposition != b"form-data" or b"name" not in options:
        raise _invalid("a part has no Content-Disposition: form-data with a name")
    field, name = _text(options[b"name"]), _text(options.get(b"filename", b""))
    media_type = _text(part.headers.get(b"content-type", b"")).partition(";")[0].strip().lower()
    content = b"".join(part.content)
    if b"filename" not in options and not media_type.startswith("image/"):
        wanted = "files alone: parameters such as model go in the query, numbers in a body of JSON"
        message = f"form field {field!r} is a text, want {wanted}"
        raise WrongValue("unknown_field", message, field=field, found="a text", wanted=wanted)
    return FormFile(field, name, media_type, content) if name or content else None


def _text(given: bytes) -> str:
    return shortened(given.decode("utf-8", "backslashreplace"))


def _invalid(reason: str) -> MalformedBody:
    found = shortened(reason, 100)
    return MalformedBody("invalid_form", f"the body is not a readable form: {found}", found=found, wanted=WANTED)
