"""Shadow traffic: the challenger answers copies of requests, only to be compared with the champion."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from service.concurrency import ThreadPool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from service.models.loaded_version import LoadedVersion
    from training.images import Images

LIMIT_ROWS: Final = 32
"""Maximum number of pictures that are copied from a request; longer copies would delay real requests."""
LOWEST_PRIORITY: Final = 19
"""Nice value of Linux."""
CLOSE_TIMEOUT_S: Final = 1.0
"""How long the end of the service waits for the comparison in progress."""
log = logging.getLogger("uvicorn.error")


class Shadow:
    """Compares one request at a time, on a thread of the lowest priority.

    A request is dropped, not compared, during another comparison and while requests wait for an engine.
    Not thread-safe: one event loop only.
    """

    def __init__(self) -> None:
        self._pool = ThreadPool(1, 1, "shadow")
        self._comparing: asyncio.Task[None] | None = None

    def copy(
        self, champion: LoadedVersion, challenger: LoadedVersion, images: Images, digits: NDArray[np.uint8]
    ) -> None:
        """Compares the challenger's digits for images uint8 [n, 28, 28] with the champion's [n], unless busy."""
        if self._comparing or champion.batcher.waiting_rows or challenger.batcher.waiting_rows:
            challenger.metrics.shadow_dropped()
        else:
            self._comparing = asyncio.create_task(self._compare(challenger, images[:LIMIT_ROWS], digits[:LIMIT_ROWS]))

    async def close(self) -> None:
        """Waits for the comparison in progress, for 1 s at most, and ends the thread."""
        if self._comparing:
            await asyncio.wait([self._comparing], timeout=CLOSE_TIMEOUT_S)
        self._pool.close()

    async def _compare(self, challenger: LoadedVersion, images: Images, digits: NDArray[np.uint8]) -> None:
        try:
            with challenger:
                answers = await asyncio.wrap_future(self._pool.submit(lambda: _answers(challenger, images)))
        except Exception:
            log.exception("%s version %s failed in the shadow", challenger.name, challenger.version)
            challenger.metrics.failed()
        else:
            differing = int((answers.argmax(axis=1) != digits).sum())
            challenger.metrics.compared(pictures=len(images), differing=differing)
        finally:
            self._comparing = None


def _answers(challenger: LoadedVersion, images: Images) -> NDArray[np.float32]:
    """The challenger's probabilities [n, 10], computed with the lowest priority.

    Only Linux has priorities of threads, so errors are ignored.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
    return challenger.predictor(images)
