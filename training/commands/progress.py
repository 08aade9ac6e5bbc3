"""Progress of training in a terminal: a row for each epoch, and below them a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from training.commands.console import stdout

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from training.fitting.loop import Watch
    from training.store.card import EpochRow


class EpochTable:
    """A context manager that gives a `Watch`, the progress callback of training.

    `check` is called each time, and may raise to end the training.
    """

    def __init__(
        self, model: str, epochs: int, images_per_epoch: int, check: Callable[[], None], *, shown: bool = True
    ) -> None:
        self._check = check
        self._progress = Progress(
            TextColumn(f"[bold]{model}[/] epoch {{task.fields[epoch]}}/{epochs}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  validation error {task.fields[error]}"),
            TextColumn("{task.fields[speed]} images/s"),
            TimeRemainingColumn(),
            console=stdout if shown else Console(quiet=True),
            transient=True,
        )
        self._task = self._progress.add_task(
            "", total=epochs * images_per_epoch, epoch=1, loss=float("nan"), error="-", speed="-"
        )

    def __enter__(self) -> Watch:
        self._progress.start()
        self._print("epoch", "loss", "validation error", "images/s", "seconds")
        return self._watch

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def _watch(self, *, epoch: int, images: int, loss: float, row: EpochRow | None) -> None:
        self._check()
        speed = self._progress.tasks[self._task].speed or 0
        self._progress.update(self._task, completed=images, epoch=epoch, loss=loss, speed=f"{speed:,.0f}")
        if row:
            error = f"{row.validation_error:.2%}"
            self._progress.update(self._task, error=error)
            self._print(str(row.epoch), f"{row.loss:.4f}", error, f"{row.images_per_s:,.0f}", f"{row.seconds:.1f}")

    def _print(self, epoch: str, loss: str, error: str, speed: str, seconds: str) -> None:
        self._progress.console.print(f"{epoch:>5}  {loss:>7}  {error:>16}  {speed:>8}  {seconds:>7}", highlight=False)
