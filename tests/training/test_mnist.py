"""MNIST: the bundled files, their hashes, and the download of a missing one from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest

from training import mnist
from training.data.digits import DataError
from training.data.split import split
from training.mnist.download import DownloadError, download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LABELS = "t10k-labels-idx1-ubyte.gz"
ORIGINAL = mnist.FOLDER / LABELS


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        pass


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The folder that `mirror` serves."""
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


@pytest.fixture
def mirror(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on a free port of 127.0.0.1."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(shelf))) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with three of the four files; the test labels are missing."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in mnist.HASHES:
        if name != LABELS:
            (folder / name).symlink_to(mnist.FOLDER / name)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_training_set_has_60000_digits_in_the_known_proportions() -> None:
    digits = mnist.train()
    assert digits.images.shape == (60_000, 28, 28)
    assert np.bincount(digits.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert digits.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert digits.sha256 == "545475122f0492ee9123d3e5df89cf81e0f69ebfe1bc0b3ca83f8fe1cf93e327"


def test_the_test_set_has_10000_digits_in_the_known_proportions() -> None:
    digits = mnist.test()
    assert digits.images.shape == (10_000, 28, 28)
    assert np.bincount(digits.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_background_is_0_and_ink_is_255() -> None:
    images = mnist.train().images
    assert images[:, 0, 0].max() == 0
    assert images[:, 14, 14].max() == 255


def test_the_validation_split_of_mnist_is_fixed() -> None:
    train, validation = split(mnist.train())
    assert (len(train), len(validation)) == (55_000, 5_000)
    assert np.bincount(validation.labels).tolist() == [494, 562, 496, 511, 487, 452, 493, 522, 487, 496]
    assert validation.sha256 == "1680391ad7552cbc0abc8b4dd5af33c109f3c3910f60ad70c95ffbb204fe1c66"


def test_all_four_bundled_files_verify() -> None:
    checks = mnist.verify()
    assert [check.name for check in checks] == list(mnist.HASHES)
    assert all(check.state == "good" and check.found == check.wanted for check in checks)


def test_a_wrong_file_is_refused_by_name(home: Path) -> None:
    path = home / LABELS
    data = bytearray(gzip.decompress(ORIGINAL.read_bytes()))
    data[8] ^= 1  # one label
    path.write_bytes(gzip.compress(data))
    found, wanted = hashlib.sha256(data).hexdigest(), mnist.HASHES[LABELS]
    with pytest.raises(mnist.WrongHashError) as caught:
        mnist.test(home, mirrors=())
    assert str(caught.value) == (
        f"{path}: unpacked SHA-256 is {found}, want {wanted}; delete the file to download it again"
    )
    assert path.exists()


def test_verify_tells_good_missing_corrupt_and_wrong_apart(home: Path) -> None:
    (home / "t10k-images-idx3-ubyte.gz").unlink()
    (home / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    (home / "train-labels-idx1-ubyte.gz").unlink()
    (home / "train-labels-idx1-ubyte.gz").write_bytes(ORIGINAL.read_bytes()[:1000])
    states = {check.name: (check.state, check.found) for check in mnist.verify(home)}
    assert states == {
        "train-images-idx3-ubyte.gz": ("good", mnist.HASHES["train-images-idx3-ubyte.gz"]),
        "train-labels-idx1-ubyte.gz": ("corrupt", None),
        "t10k-images-idx3-ubyte.gz": ("wrong hash", hashlib.sha256(b"something else").hexdigest()),
        LABELS: ("missing", None),
    }


def test_a_missing_file_is_downloaded_and_kept(home: Path, shelf: Path, mirror: str) -> None:
    (shelf / LABELS).write_bytes(ORIGINAL.read_bytes())
    assert len(mnist.test(home, mirrors=[mirror])) == 10_000
    assert (home / LABELS).read_bytes() == ORIGINAL.read_bytes()
    assert names(home) == set(mnist.HASHES)


def test_the_second_mirror_is_asked_when_the_first_has_a_wrong_file(home: Path, shelf: Path, mirror: str) -> None:
    (shelf / "bad").mkdir()
    (shelf / "bad" / LABELS).write_bytes(gzip.compress(b"not the labels"))
    (shelf / LABELS).write_bytes(ORIGINAL.read_bytes())
    assert len(mnist.test(home, mirrors=[f"{mirror}bad/", mirror])) == 10_000


def test_a_wrong_download_is_refused_and_leaves_nothing_behind(home: Path, shelf: Path, mirror: str) -> None:
    (shelf / LABELS).write_bytes(gzip.compress(b"not the labels"))
    found, wanted = hashlib.sha256(b"not the labels").hexdigest(), mnist.HASHES[LABELS]
    with pytest.raises(DownloadError) as caught:
        mnist.test(home, mirrors=[mirror])
    assert str(caught.value) == (
        f"{home / LABELS}: missing, and no mirror had it ({mirror}{LABELS}: unpacked SHA-256 {found}, want {wanted}); "
        f"put {LABELS} into {home} by hand"
    )
    assert names(home) == set(mnist.HASHES) - {LABELS}


def test_a_truncated_download_is_refused_and_leaves_nothing_behind(home: Path, shelf: Path, mirror: str) -> None:
    (shelf / LABELS).write_bytes(ORIGINAL.read_bytes()[:1000])
    with pytest.raises(DownloadError, match="Compressed file ended before the end-of-stream marker"):
        mnist.test(home, mirrors=[mirror])
    assert names(home) == set(mnist.HASHES) - {LABELS}


def test_when_no_mirror_answers_the_error_names_them_all(home: Path, mirror: str) -> None:
    mirrors = [mirror, f"{mirror}other/", "http://127.0.0.1:9/", "file:///etc/"]
    with pytest.raises(DataError) as caught:
        mnist.test(home, mirrors=mirrors)
    assert str(caught.value) == (
        f"{home / LABELS}: missing, and no mirror had it ("
        f"{mirror}{LABELS}: HTTP Error 404: File not found; "
        f"{mirror}other/{LABELS}: HTTP Error 404: File not found; "
        f"http://127.0.0.1:9/{LABELS}: <urlopen error [Errno 111] Connection refused>; "
        f"file:///etc/{LABELS}: want an https or http address); "
        f"put {LABELS} into {home} by hand"
    )


def test_a_silent_mirror_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), QuietHandler) as server:  # listens, and never answers
        mirror = f"http://127.0.0.1:{server.server_port}/"
        with pytest.raises(DownloadError, match="timed out"):
            download(home / LABELS, [mirror], mnist.HASHES[LABELS], timeout_s=0.05)
