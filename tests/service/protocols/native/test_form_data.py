"""Forms (multipart/form-data): their files, and the error for each form that has none or cannot be read."""

import pytest

from service.errors import MalformedBody, TooLarge, WrongMediaType, WrongValue
from service.protocols.native.form_data import (
    LIMIT_FILES,
    SPARE_PARTS,
    WANTED,
    FormFile,
    _parts,
    decode_form,
    named_errors,
)

BOUNDARY = "----WebKitFormBoundaryABC"
TYPE = f"multipart/form-data; boundary={BOUNDARY}".encode()
BYTES = bytes(range(256)) + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r\n"
TEXTS = "want files alone: parameters such as model go in the query, numbers in a body of JSON"


def part(content=b"x", *, disposition='form-data; name="file"; filename="seven.png"', **headers):
    lines = [f"Content-Disposition: {disposition}"] if disposition else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def form(*parts, end="--\r\n"):
    return b"".join(f"--{BOUNDARY}\r\n".encode() + each + b"\r\n" for each in parts) + f"--{BOUNDARY}{end}".encode()


def decoded(*parts, content_type=TYPE, limit_rows=4096, end="--\r\n"):
    return decode_form(form(*parts, end=end), content_type, limit_rows=limit_rows)


def test_files_come_in_their_order_with_names_types_and_bytes():
    files = decoded(
        part(BYTES, Content_Type="image/PNG; x=1"),
        part(b"two", disposition='form-data; name="b"; filename="zwei 2.jpg"'),
        part(b"", disposition="form-data; name=c; filename=empty.png"),
    )
    assert files == [
        FormFile("file", "seven.png", "image/png", BYTES),
        FormFile("b", "zwei 2.jpg", "", b"two"),
        FormFile("c", "empty.png", "", b""),
    ]


def test_a_file_input_that_nobody_filled_is_left_out_and_a_picture_may_have_no_name():
    empty = part(b"", disposition='form-data; name="b"; filename=""', Content_Type="application/octet-stream")
    picture = part(b"two", disposition='form-data; name="c"', Content_Type="image/png")
    assert decoded(empty, picture) == [FormFile("c", "", "image/png", b"two")]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], f"the form has no file, want {WANTED}"),
        ([part(b"", disposition='form-data; name="b"; filename=""')], f"the form has no file, want {WANTED}"),
        ([part(b"lenet", disposition='form-data; name="model"')], f"form field 'model' is a text, {TEXTS}"),
        ([part(), part(b"", disposition='form-data; name="submit"')], f"form field 'submit' is a text, {TEXTS}"),
        ([part(disposition=f'form-data; name="{"n" * 60}"')], f"form field '{'n' * 39}…' is a text, {TEXTS}"),
    ],
)
def test_a_form_without_files_and_a_field_that_means_nothing_are_told(parts, message):
    with pytest.raises(WrongValue) as refused:
        decoded(*parts)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("body", "content_type", "found"),
    [
        (b"", TYPE, "it is empty"),
        (form(part(), end=""), TYPE, "it has no end, the last boundary and two hyphens"),
        (form(part())[:-40], TYPE, "it has no end, the last boundary and two hyphens"),
        (b"no form", TYPE, "it does not begin with the boundary that Content-Type names"),
        (form(part()).replace(b"ABC", b"ABD"), TYPE, "it does not begin with the boundary that Content-Type names"),
        (form(part(disposition="")), TYPE, "a part has no Content-Disposition: form-data with a name"),
        (form(part(disposition="form-data")), TYPE, "a part has no Content-Disposition: form-data with a name"),
        (form(part(disposition='attachment; name="a"')), TYPE, "a part has no Content-Disposition: form-data"),
        (form(part(**{"X" * 5000: "1"})), TYPE, "Maximum header size exceeded"),
        (form(part(**{f"X-{i}": "1" for i in range(20)})), TYPE, "Maximum header count exceeded"),
        (form(part()), TYPE + b"x" * 300, "Boundary length"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(body, content_type, found):
    with pytest.raises(MalformedBody) as refused:
        decode_form(body, content_type, limit_rows=9)
    assert refused.value.code == "invalid_form"
    assert str(refused.value).startswith(f"the body is not a readable form: {found}")


@pytest.mark.parametrize("content_type", [b"multipart/form-data", b"multipart/form-data; boundary="])
def test_a_content_type_that_was_written_by_hand_is_explained(content_type):
    with pytest.raises(MalformedBody) as refused:
        decode_form(form(part()), content_type, limit_rows=9)
    assert str(refused.value) == (
        "Content-Type is multipart/form-data without a boundary, want the boundary between the parts, which HTTP "
        "clients add where Content-Type is left to them"
    )


def test_files_and_parts_are_limited():
    assert len(decoded(*[part()] * LIMIT_FILES)) == LIMIT_FILES
    with pytest.raises(TooLarge) as refused:
        decoded(*[part()] * (LIMIT_FILES + 1))
    assert (refused.value.code, str(refused.value)) == (
        "too_many_pictures",
        f"the form has {LIMIT_FILES + 1} files, want at most {LIMIT_FILES}",
    )
    with pytest.raises(TooLarge, match=r"^the form has 3 files, want at most 2$"):
        decoded(*[part()] * 3, limit_rows=2)
    found, limit = LIMIT_FILES + SPARE_PARTS + 1, LIMIT_FILES + SPARE_PARTS
    with pytest.raises(TooLarge, match=rf"^the form has {found} parts, want at most {limit}$"):
        decoded(*[part()] * found)


def test_a_body_of_boundaries_is_counted_and_not_parsed(monkeypatch):
    """Each boundary is a turn of the parser's loop: 16 MiB of them would take seconds."""
    monkeypatch.setattr("service.protocols.native.form_data.MultipartParser", None)
    with pytest.raises(TooLarge, match="parts, want at most"):
        decode_form(b"\r\n--b" * 3_000_000, b"multipart/form-data; boundary=b", limit_rows=4096)


@pytest.mark.parametrize("line", [b"\r\n", b"\r", b"\n--", b"-", b"\r\n--b"])
def test_content_that_looks_like_boundaries_is_found_in_one_go(line):
    """The parser looks for the whole boundary at once, and not at each line."""
    content = line * (2**16 // len(line))
    (parsed,) = _parts(form(part(content)), BOUNDARY.encode(), limit=9)
    assert parsed.content == [content]


def test_errors_about_a_file_have_its_name():
    file = FormFile("picture", "seven.png", "image/png", b"")
    with pytest.raises(WrongMediaType, match=r"^seven.png: it is blue$") as refused, named_errors(file):
        raise WrongMediaType("mismatched_media_type", "it is blue", field="Content-Type", found="blue", wanted="red")
    assert (refused.value.field, refused.value.found, refused.value.wanted) == ("picture", "blue", "red")
    with pytest.raises(MalformedBody, match=r"^picture: it is torn$"), named_errors(file._replace(name="")):
        raise MalformedBody("invalid_picture", "it is torn")
