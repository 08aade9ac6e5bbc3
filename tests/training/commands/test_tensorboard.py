"""TensorBoard event files of a training run, written by `fit --tensorboard`."""

import importlib
import struct
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from tensorboardX.proto.event_pb2 import Event, SessionLog

from tests.support.small import QUICK, TINY
from training.commands import tensorboard
from training.commands.console import friendly_errors
from training.commands.tensorboard import EventFile
from training.fitting.job import run
from training.recipe import Recipe
from training.store import Store
from training.store.card import EpochRow


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(file) -> list[Event]:
    """The records of an event file: length, its checksum, an event, its checksum."""
    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(body)
        found.append(Event.FromString(body))
        data = data[16 + length :]
    return found


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag, over all files of a folder, in the order of their names."""
    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.iterdir()):
        for event in events(file):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def unseen(**progress) -> None:
    """A `Watch` that shows nothing."""


def row(epoch, loss=0.5) -> EpochRow:
    return EpochRow(epoch=epoch, loss=loss, validation_error=0.25, images_per_s=1024.0, seconds=3.0)


def test_the_checksum_of_these_tests_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283


def test_a_file_begins_with_its_format_and_has_an_event_for_each_epoch_with_four_values(tmp_path):
    recipe = Recipe(epochs=2, schedule="constant", warmup_epochs=0, learning_rate=0.25)
    with EventFile(tmp_path / "new" / "net", recipe, unseen) as watch:
        watch(epoch=1, images=64, loss=0.7, row=None)
        watch(epoch=1, images=640, loss=0.6, row=row(1, loss=0.625))
        watch(epoch=2, images=704, loss=0.6, row=None)
        watch(epoch=2, images=1280, loss=0.5, row=row(2, loss=0.375))
    (file,) = (tmp_path / "new" / "net").iterdir()
    assert ".tfevents." in file.name
    first, start, *epochs = events(file)
    assert first.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (1, SessionLog.START)
    assert [event.step for event in epochs] == [1, 2]
    assert scalars(file.parent) == {
        "loss": [(1, 0.625), (2, 0.375)],
        "validation_error": [(1, 0.25), (2, 0.25)],
        "images_per_s": [(1, 1024.0), (2, 1024.0)],
        "learning_rate": [(1, 0.25), (2, 0.25)],
    }


def test_the_learning_rate_is_that_of_the_last_step_of_an_epoch(tmp_path):
    """10 steps an epoch: one of warm-up from 0.1 to 1, then a line to 0 at step 30, whose last step is 29."""
    recipe = Recipe(epochs=3, schedule="linear", warmup_epochs=1, learning_rate=1.0)
    with EventFile(tmp_path, recipe, unseen) as watch:
        for epoch in (1, 2, 3):
            watch(epoch=epoch, images=640 * epoch, loss=0.5, row=row(epoch))
    assert scalars(tmp_path)["learning_rate"] == [
        (1, pytest.approx(0.1 + 0.9 * 9 / 10)),
        (2, pytest.approx(1 - 9 / 20)),
        (3, pytest.approx(1 - 19 / 20)),
    ]


def test_an_epoch_can_be_read_as_soon_as_it_has_ended(tmp_path):
    with EventFile(tmp_path, QUICK, unseen) as watch:
        watch(epoch=1, images=640, loss=0.5, row=row(1))
        assert scalars(tmp_path)["loss"] == [(1, 0.5)]


def test_who_is_shown_the_progress_comes_first_and_what_it_refuses_is_not_recorded(tmp_path):
    """It refuses when the user has stopped the training: the epoch is not kept, and comes again."""
    told = []

    def shown(**progress) -> None:
        told.append(progress)
        if progress["epoch"] == 2:
            raise KeyboardInterrupt

    with EventFile(tmp_path, QUICK, shown) as watch:
        watch(epoch=1, images=640, loss=0.5, row=row(1))
        with pytest.raises(KeyboardInterrupt):
            watch(epoch=2, images=1280, loss=0.4, row=row(2))
    assert told == [
        {"epoch": 1, "images": 640, "loss": 0.5, "row": row(1)},
        {"epoch": 2, "images": 1280, "loss": 0.4, "row": row(2)},
    ]
    assert scalars(tmp_path)["loss"] == [(1, 0.5)]


def test_a_run_that_goes_on_has_a_file_of_its_own_that_takes_the_place_of_what_it_repeats(tmp_path, monkeypatch):
    """Even within one second."""
    monkeypatch.setattr(tensorboard, "time", SimpleNamespace(time=lambda: 1e9, time_ns=time.time_ns))
    for first, last in ((1, 3), (3, 4)):
        with EventFile(tmp_path, QUICK, unseen) as watch:
            for epoch in range(first, last + 1):
                watch(epoch=epoch, images=640 * epoch, loss=0.5, row=row(epoch))
    older, newer = sorted(tmp_path.iterdir())
    assert [event.step for event in events(older)] == [0, 1, 1, 2, 3]
    assert [event.step for event in events(newer)] == [0, 3, 3, 4]
    assert events(newer)[1].session_log.status == SessionLog.START


def test_training_writes_what_its_card_says(few_digits, tmp_path):
    def watching(model, recipe):
        return EventFile(tmp_path / "events" / model, recipe, unseen)

    digits = few_digits.take(np.arange(1500))
    published = run(Store(tmp_path), "net", TINY, QUICK, digits, source="a test", resume=False, watching=watching)
    found = scalars(tmp_path / "events" / "net")
    assert [step for step, _ in found["loss"]] == [1, 2, 3]
    for tag in ("loss", "validation_error", "images_per_s"):
        wanted = [getattr(of, tag) for of in published.card.history]
        assert [value for _, value in found[tag]] == pytest.approx(wanted, rel=1e-6)


def test_a_file_in_the_place_of_the_folder_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    with pytest.raises(typer.Exit), friendly_errors():
        EventFile(tmp_path / "taken", QUICK, unseen)
    assert capsys.readouterr().err.count("\n") == 1


def test_without_the_package_one_line_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(typer.Exit) as ended, friendly_errors():
        importlib.reload(tensorboard)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == (
        "error: event files for TensorBoard want the package tensorboardX: python -m pip install tensorboardX\n"
    )
