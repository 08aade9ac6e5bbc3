"""A copy of the traffic for a challenger, whose answers are compared and never returned."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from service.models.loaded_version import LoadedVersion
    from service.observability.metrics import Metrics
    from training.images import Images

MOST_ROWS: Final = 32
"""Of a request; more are not copied, or the copy would be in the way for long."""
LOWEST_PRIORITY: Final = 19
log = logging.getLogger("uvicorn.error")


class Shadow:
    """Compares one request at a time, on a thread that steps back for all others.

    What comes meanwhile, and what comes while requests wait, is not compared: real answers come first.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, "shadow", initializer=_step_back)
        self._comparing: asyncio.Task[None] | None = None

    def copy(
        self, champion: LoadedVersion, challenger: LoadedVersion, images: Images, given: NDArray[np.uint8]
    ) -> None:
        """Compares the challenger's digits with those that the champion has given, if there is time for it."""
        if self._comparing or champion.batcher.waiting_rows or challenger.batcher.waiting_rows:
            self._metrics.shadow_dropped(challenger)
        else:
            self._comparing = asyncio.create_task(self._compare(challenger, images[:MOST_ROWS], given[:MOST_ROWS]))

    async def close(self) -> None:
        """Waits for the comparison that is on its way."""
        if self._comparing:
            await self._comparing
        self._executor.shutdown()

    async def _compare(self, challenger: LoadedVersion, images: Images, given: NDArray[np.uint8]) -> None:
        loop = asyncio.get_running_loop()
        try:
            with challenger:
                answers = await loop.run_in_executor(self._executor, challenger.predictor, images)
        except Exception:
            log.exception("%s version %s failed in the shadow", challenger.name, challenger.version)
            self._metrics.failed(challenger)
        else:
            differing = int((answers.argmax(axis=1) != given).sum())
            self._metrics.compared(challenger, pictures=len(images), differing=differing)
        finally:
            self._comparing = None


def _step_back() -> None:
    """Linux has priorities of threads; where there are none, only dropping keeps the shadow back."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
