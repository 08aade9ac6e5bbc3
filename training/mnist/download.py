"""Downloads a missing file of MNIST from a public mirror; it is put in place only after its SHA-256 is verified."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import urllib.error
import urllib.request
import zlib
from typing import TYPE_CHECKING

from training.data.digits import DataError
from training.data.replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TIMEOUT_S = 20.0  # for connecting, and for each silence while reading
LIMIT_BYTES = 16 << 20  # the largest of the four files has 10 MB


class DownloadError(DataError):
    """No mirror had the right file; the text has the answer of each, and where to put the file by hand."""


def download(path: Path, mirrors: Sequence[str], wanted: str, timeout_s: float = TIMEOUT_S) -> None:
    """Put at `path` the gzip file of that name whose unpacked content has the SHA-256 `wanted`.

    The mirrors (addresses that end in a slash, https or http) are asked in turn. Raises DownloadError when none has the
    right file; then nothing is left behind.
    """
    answers = []
    for mirror in mirrors:
        url = mirror + path.name
        try:
            packed = _fetch(url, timeout_s)
            found = hashlib.sha256(gzip.decompress(packed)).hexdigest()
        except (OSError, EOFError, ValueError, zlib.error, http.client.HTTPException) as error:
            answers.append(f"{url}: {error}")
            continue
        if found != wanted:
            answers.append(f"{url}: unpacked SHA-256 {found}, want {wanted}")
            continue
        with replacing(path) as aside:
            aside.write_bytes(packed)
        return
    tried = "; ".join(answers) or "no mirrors given"
    raise DownloadError(f"{path}: missing, and no mirror had it ({tried}); put {path.name} into {path.parent} by hand")


def _fetch(url: str, timeout_s: float) -> bytes:
    """The body of an answer 200, at most LIMIT_BYTES. Raises OSError, ValueError or HTTPException."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("want an https or http address")
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - the scheme is checked above
            body: bytes = answer.read(LIMIT_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise
    if len(body) > LIMIT_BYTES:
        raise ValueError(f"more than {LIMIT_BYTES} bytes")
    return body
