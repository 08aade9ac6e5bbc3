"""A feature of a protocol, and what is found when a server is asked for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.conformance.server import Server


class Deviation(Exception):
    """The server speaks of something, and not as the protocol has it; the text says what was found and wanted."""


class NotOffered(Exception):
    """The server does not do something that it has not said it would; the text says how that shows."""


class Verdict(StrEnum):
    """What is said of a feature."""

    YES = "yes"
    NO = "no"
    WRONG = "wrong"


class Feature(NamedTuple):
    """Something that a server does or does not do. `check` returns what is worth knowing of how it does it."""

    protocol: str
    name: str
    required: bool
    check: Callable[[Server], str]


class Finding(NamedTuple):
    """A feature with the verdict on it."""

    protocol: str
    name: str
    required: bool
    verdict: Verdict
    detail: str

    @property
    def passes(self) -> bool:
        """Whether the server keeps to the protocol here: what is optional may be missing, and may not be wrong."""
        return self.verdict is Verdict.YES or (self.verdict is Verdict.NO and not self.required)


def findings(features: Iterable[Feature], server: Server) -> list[Finding]:
    """All features looked at, in their order."""
    return [_finding(feature, server) for feature in features]


def _finding(feature: Feature, server: Server) -> Finding:
    try:
        verdict, detail = Verdict.YES, feature.check(server)
    except NotOffered as missing:
        verdict, detail = Verdict.NO, str(missing)
    except Deviation as wrong:
        verdict, detail = Verdict.WRONG, str(wrong)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        verdict, detail = Verdict.WRONG, f"an answer has another form than wanted: {error!r}"
    return Finding(feature.protocol, feature.name, feature.required, verdict, detail)
