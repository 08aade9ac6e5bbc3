"""The end of a TLS certificate."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def certificate_end_s(path: Path) -> float:
    """When the first certificate of a PEM file ends, in seconds since 1970.

    By a private function of Python: its public ones decode a certificate only in a handshake that verifies it. Raises
    ssl.SSLError.
    """
    decoded = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    return float(ssl.cert_time_to_seconds(decoded["notAfter"]))
