"""Event files of training for TensorBoard; only with the extra `tensorboard`."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from training.commands.epoch_figures import epoch_figures

try:
    from tensorboardX import RecordWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary
except ImportError as error:
    raise ImportError(
        "event files for TensorBoard want the package tensorboardX: python -m pip install tensorboardX"
    ) from error

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from training.fitting.loop import Watch
    from training.recipe import Recipe
    from training.store.card import EpochRow


class EventFile:
    """A context manager that gives a `Watch`, which first calls `shown`, another `Watch`.

    Each epoch's loss, validation error, speed and learning rate are in a file of `folder` as soon as the epoch has
    ended. TensorBoard hides the same epochs in older files, whether the run was resumed or another run has the same
    folder. tensorboardX's SummaryWriter is not used, because on a full disk it waits for ever.
    """

    def __init__(self, folder: Path, recipe: Recipe, shown: Watch) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{time.time_ns()}"
        self._recipe = recipe
        self._shown = shown
        self._began = False
        self._writer = RecordWriter(str(folder / name))
        self._write(file_version="brain.Event:2")

    def __enter__(self) -> Watch:
        return self.watch

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def watch(self, *, epoch: int, images: int, loss: float, row: EpochRow | None) -> None:
        """Training's `Watch`. Raises OSError when the file cannot be written."""
        self._shown(epoch=epoch, images=images, loss=loss, row=row)
        if not self._began:
            self._write(step=epoch, session_log=SessionLog(status=SessionLog.START))
            self._began = True
        if row:
            values = epoch_figures(self._recipe, images, row)
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            self._write(step=epoch, summary=summary)

    def _write(self, **fields: object) -> None:
        self._writer.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self._writer.flush()
