"""Logging to stderr: JSON lines, or readable lines on a terminal.

All code logs with Python's `logging`, uvicorn and warnings included; structlog formats the records. Every line about a
request has the request id and the trace id. Bodies and keys are never logged.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from structlog.processors import TimeStamper

from service.observability.request_context import CURRENT

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

CONFIGURED_LOGGERS: Final = ("service", "training", "uvicorn", "py.warnings")
"""Loggers with the level of the settings; all other loggers log warnings and errors."""
ACCESS: Final = "service.access"
"""The logger of the access log."""
FIRST: Final = ("time", "level", "event")
EXTRA: Final = ("method", "route", "status", "duration_ms", "model", "version")
"""The only extra fields of log calls that are logged, so that pixels never are."""


def configure_logs(level: str, form: str) -> None:
    """Configures logging. `form` is json, console, or auto: console if stderr is a terminal, or else json."""
    terminal = sys.stderr.isatty()
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(for_people=form == "console" or (form == "auto" and terminal), colors=terminal))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in CONFIGURED_LOGGERS:
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(True)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of damaged forms that anybody sends
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata in pictures that anybody sends
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda thrown: _log_uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)


def formatter(*, for_people: bool, colors: bool = False) -> structlog.stdlib.ProcessorFormatter:
    """A formatter of log records: readable lines if `for_people`, else JSON lines."""
    clock = TimeStamper("%H:%M:%S", utc=False, key="time") if for_people else TimeStamper("iso", utc=True, key="time")
    before: list[Processor] = [
        clock,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=EXTRA),
        _add_request,
    ]
    last: list[Processor]
    if for_people:
        plain = structlog.dev.plain_traceback  # structlog's default shows local variables, pixels among them
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=plain, timestamp_key="time", pad_level=False, pad_event_to=0
        )
        last = [_in_words, renderer]
    else:
        last = [structlog.processors.format_exc_info, _in_order, structlog.processors.JSONRenderer(serializer=_json)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )


def _add_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = CURRENT.get()
    if context is not None:
        event["request_id"] = context.id.decode()
        if trace_id := context.trace_id:
            event["trace_id"] = trace_id
    return event


def _in_words(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A line of the access log as a sentence; what is left of any line stands behind it."""
    if event.get("logger") == ACCESS and "route" in event:
        method, route, status, ms = (event.pop(name) for name in ("method", "route", "status", "duration_ms"))
        model, version = event.pop("model", None), event.pop("version", None)
        by = f" by {model} {version}" if model else ""
        event["event"] = f"{method} {route}: {status}{by} in {ms:.1f} ms"
        del event["logger"]
    return event


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {**{name: event[name] for name in FIRST if name in event}, **event}


def _json(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=repr).decode()


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    logging.getLogger("service").critical("uncaught exception", exc_info=(kind, error, traceback))
