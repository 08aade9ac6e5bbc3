"""The deadline that a client sets for its request by a header."""

import pytest

from service.errors import WrongValue
from service.http.timeout import timeout_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250", 0.25), ("0.5", 0.0005), ("1e2", 0.1), ("2.5E+2", 0.25), ("30001", 30), ("1e999", 30), (None, 30)],
)
def test_the_client_waits_as_long_as_it_says_and_the_limit_at_most(text, seconds):
    assert timeout_of({} if text is None else {b"x-timeout-ms": text.encode()}, 30_000) == seconds


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (text, "wrong_type")
        for text in ("soon", "", "1_000", "inf", "nan", "+1", "01", "1.", ".5", "1e", "0x10", "²", "1 2")
    ]
    + [(text, "out_of_range") for text in ("0", "0.0", "-1", "-1e999", "1e-999")],
)
def test_what_is_no_number_as_json_writes_it_or_not_above_0_is_refused(text, code):
    """Python's float took 1_000 for 1000 and inf for the limit."""
    with pytest.raises(WrongValue) as refused:
        timeout_of({b"x-timeout-ms": text.encode("latin-1")}, 30_000)
    wanted = "a number of milliseconds greater than 0, in decimal, as JSON writes it"
    assert (refused.value.code, str(refused.value)) == (code, f"X-Timeout-Ms is {text!r}, want {wanted}")
