"""Clients that lose a request rather than send it twice.

Each asks again and again, one request at a time, half of them on a new connection every time. When a connection is
refused, nothing has been sent, and they ask at the next address; when an answer says `Connection: close`, too. A
request that was sent and got no answer, or another one than 200, is lost: it is never sent again.
"""

import http.client
import itertools
import threading
import time
from pathlib import Path

SEVEN = (Path(__file__).parent.parent / "seven.json").read_bytes()
JSON = {"Content-Type": "application/json"}
PATIENCE_S = 15


class Clients:
    """So many clients of some ports of this machine, from entering to leaving; they start with the first port."""

    def __init__(self, *ports: int, count: int = 8) -> None:
        self._ports = ports
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=[place % 2 == 0]) for place in range(count)]
        self.answered = dict.fromkeys(ports, 0)
        self.refused = 0
        self.lost: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, stay: bool) -> None:
        ports = itertools.cycle(self._ports)
        port, connection = next(ports), None
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
                    connection.connect()
            except ConnectionRefusedError:
                with self._lock:
                    self.refused += 1
                port, connection = next(ports), None
                time.sleep(0.01)
                continue
            except OSError as error:  # nothing was sent, but nobody said no
                self._lose(port, "connect", error)
                port, connection = next(ports), None
                continue
            try:
                connection.request("POST", "/predict", SEVEN, JSON)
                answer = connection.getresponse()
                body = answer.read()
                assert answer.status == 200, f"{answer.status} {body[:200]!r}"
                assert body.startswith(b'{"digit":7,'), body[:200]
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self._lose(port, "request", error)
                connection.close()
                connection = None
                continue
            with self._lock:
                self.answered[port] += 1
            if answer.will_close:
                connection, port = None, next(ports)
            elif not stay:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _lose(self, port: int, what: str, error: Exception) -> None:
        with self._lock:
            self.lost.append(f"{what} at {port}: {error!r}")
