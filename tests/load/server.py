"""A server as a process: started on a port of its own, stopped with all that it has started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from tests.support.project import ROOT
from training.errors import DigitsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from tests.load.questions import Question

START_S, STOP_S = 120.0, 20.0
ANSWER_S = 30.0
POLL_S = 0.05
PR_SET_CHILD_SUBREAPER = 36


class ServerFailed(DigitsError):
    """A server that ends, or does not answer as it should; the message has its last words."""


class Server:
    """A process that answers HTTP on 127.0.0.1. Use as a context manager; `port` is known before it starts."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.port = port
        self._command = command

    def __enter__(self) -> Self:
        self._others = set(_descendants(os.getpid()))
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT
        )
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=ANSWER_S, trust_env=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        _end_children(self._others)
        self._process.wait()
        self._log.close()

    def wait(self, question: Question) -> None:
        """Until it answers this question with 200. Raises ServerFailed when it ends or two minutes pass first."""
        end = time.perf_counter() + START_S
        said = "nothing"
        while time.perf_counter() < end:
            if self._process.poll() is not None:
                raise ServerFailed(f"ended with exit code {self._process.returncode}: {self.last_words()}")
            with contextlib.suppress(httpx.TransportError):
                answer = self._ask(question)
                if answer.status_code == 200:
                    return
                said = f"{answer.status_code} {answer.text[:200]}"
            time.sleep(POLL_S)
        raise ServerFailed(f"not ready after {START_S:.0f} s: it answers {said}; {self.last_words()}")

    def ask(self, question: Question) -> bytes:
        """The answer's body. Raises ServerFailed for another status than 200."""
        try:
            answer = self._ask(question)
        except httpx.TransportError as error:
            raise ServerFailed(f"{type(error).__name__} instead of an answer; {self.last_words()}") from None
        if answer.status_code != 200:
            raise ServerFailed(f"{answer.status_code}: {' '.join(answer.text.split())[:200]}")
        return answer.content

    def send_signal(self, sig: signal.Signals) -> None:
        """Tells the process something."""
        self._process.send_signal(sig)

    def resident_mb(self) -> float:
        """Memory of the process and of all that it has started, in MB."""
        pages = sum(_resident_pages(process) for process in (self._process.pid, *_descendants(self._process.pid)))
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def last_words(self) -> str:
        """The last line that it wrote."""
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()] or ["it wrote nothing"]
        return lines[-1].strip()[:300]

    def _ask(self, question: Question) -> httpx.Response:
        headers = {"Content-Type": question.content_type, **question.headers}
        return self._http.post(question.path, content=question.body, headers=headers)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def adopt_orphans() -> None:
    """Makes this process the parent of what servers leave behind, so that it can be ended and its time be counted.

    LitServe and Ray leave processes behind. Linux alone can do this.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_children(others: set[int]) -> None:
    """Ends all that is left of a server, once its own process has ended and left its children to this one.

    Children that are none of the server's are `others`.
    """
    while left := set(_descendants(os.getpid())) - others:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # of those that their parents wait for
                os.waitpid(process, os.WNOHANG)
        time.sleep(POLL_S)


def _descendants(parent: int) -> list[int]:
    found: list[int] = []
    for child in _children(parent):
        found += [child, *_descendants(child)]
    return found


def _children(parent: int) -> Iterator[int]:
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, task.read_text().split())


def _resident_pages(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0
