"""The server that is looked at, and answers of it that are read strictly."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, Self

import httpx

from tests.conformance.feature import Deviation, NotOffered
from training.errors import DigitsError

TIMEOUT_S = 30.0
LONGEST = 160
"""Of what a deviation repeats of an answer."""
ABSENT = (404, 405, 501)


class NoServer(DigitsError):
    """Nobody answers at a URL, or nothing there can be asked."""


class Reply(NamedTuple):
    """An answer."""

    asked: str
    status: int
    headers: httpx.Headers
    body: bytes

    def __str__(self) -> str:
        text = " ".join(self.body[:LONGEST].decode(errors="replace").split())
        return f"{self.asked}: {self.status} {text}".strip()

    def json(self) -> Any:
        """The body as RFC 8259 has JSON: without NaN and infinities. Raises Deviation."""
        return read(self.body, self.asked)

    def ok(self) -> Self:
        """Itself. Raises Deviation for another status than 200."""
        if self.status != 200:
            raise Deviation(f"{self}, want 200")
        return self

    def refused(self, *statuses: int) -> str:
        """Its status and what it says. Raises Deviation for what is no error, or none of the statuses."""
        if self.status not in (statuses or range(400, 600)):
            raise Deviation(f"{self}, want {' or '.join(map(str, statuses)) or 'a status from 400 on'}")
        return str(self).partition(": ")[2]

    def error(self) -> str:
        """The text of its error. Raises Deviation for an error that has none, and for what is no error."""
        self.refused()
        said = self.json()
        if type(said) is not dict or type(said.get("error")) is not str or not said["error"]:
            raise Deviation(f'{self}, want {{"error": "…"}}')
        return str(said["error"])

    def offered(self) -> Self:
        """Itself. Raises NotOffered when there is nothing at its path."""
        if self.status in ABSENT:
            raise NotOffered(str(self))
        return self


class Server:
    """A server at a URL, asked for one of its models."""

    def __init__(self, url: str, model: str = "") -> None:
        one_request_each = httpx.Limits(max_keepalive_connections=0)  # some servers close connections after errors
        self._http = httpx.Client(
            base_url=url.rstrip("/"), timeout=TIMEOUT_S, trust_env=False, limits=one_request_each, follow_redirects=True
        )
        self._answered = False
        self._known: dict[str, Reply] = {}
        self.url = url
        self.model = model

    def __enter__(self) -> Self:
        self.model = self.model or self._any_model()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Reply:
        """The answer to a GET, asked for once."""
        if path not in self._known:
            self._known[path] = self._ask("GET", path)
        return self._known[path]

    def post(self, path: str, content: Any, headers: dict[str, str] | None = None) -> Reply:
        """The answer to a POST of bytes, or of anything that is made JSON of."""
        if not isinstance(content, bytes):
            content, headers = json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})}
        return self._ask("POST", path, content, headers)

    def _ask(self, method: str, path: str, content: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        try:
            answer = self._http.request(method, path, content=content, headers=headers)
        except httpx.TransportError as error:
            said = f"{method} {path} at {self.url} has no answer: {str(error) or type(error).__name__}"
            raise (Deviation(said) if self._answered else NoServer(said)) from None
        self._answered = True
        return Reply(f"{method} {path}", answer.status_code, answer.headers, answer.content)

    def _any_model(self) -> str:
        """The name of a model that the server has. Raises NoServer when it names none."""
        with suppress(Deviation):  # which its features are judged by
            return self._named()
        raise NoServer(f"{self.url} does not say in JSON what models it has, want --model NAME")

    def _named(self) -> str:
        index = self.post("/v2/repository/index", {})
        if index.status == 200 and type(entries := index.json()) is list:
            ready = sorted(entries, key=lambda entry: entry.get("state") != "READY")
            if ready:
                return str(ready[0]["name"])
        listed = self.get("/v1/models")
        if listed.status == 200 and type(said := listed.json()) is dict and said.get("models"):
            return str(said["models"][0])
        raise NoServer(f"{self.url} does not say what models it has, want --model NAME")


def read(body: bytes, asked: str) -> Any:
    """JSON, strictly. Raises Deviation."""

    def refuse(name: str) -> NoReturn:
        raise Deviation(f"{asked}: the answer has {name}, which is not JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except ValueError as error:
        text = " ".join(body[:LONGEST].decode(errors="replace").split())
        raise Deviation(f"{asked}: the answer is not JSON ({error}): {text}") from None
