"""Where log events go: one line each on standard error, for people or as JSON for collectors.

Our own events (structlog) and those of libraries (stdlib logging) come out in the same form. Ours do not pass through
stdlib logging: a record of its kind costs more than the line, and there is a line for every message. Values are
escaped, so that nothing in a mail can start a line of its own.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_CHATTY = {"mail.log": logging.WARNING, "alembic": logging.WARNING, "watchdog": logging.WARNING}


class _Stream:
    """What structlog calls a logger: takes whole lines. `name` stands in the events."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line; a log that cannot be written is never worth more than the mail."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["text", "json"]) -> None:
    """Send every event of at least `level` to standard error. Replaces what was configured before."""
    threshold = getattr(logging, level.upper())
    stream = sys.stderr
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=form == "json"),
    )

    def logger(name: str = "") -> _Stream:
        return _Stream(stream, name)

    structlog.configure(
        processors=[*shared, *_rendering(form)],
        logger_factory=logger,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=(*shared, structlog.stdlib.ExtraAdder()),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(max(threshold, least))
    logging.captureWarnings(True)


def _rendering(form: Literal["text", "json"]) -> list[Processor]:
    if form == "json":
        return [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    return [structlog.processors.format_exc_info, _text]


def _text(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    """`time level event key=value ... [logger]`, a traceback on lines of its own below."""
    timestamp, level = event.pop("timestamp", ""), event.pop("level", "")
    name, trace = event.pop("logger", ""), event.pop("exception", "")
    what = _escaped(str(event.pop("event", "")))
    pairs = "".join(f" {key}={_value(value)}" for key, value in event.items())
    line = f"{timestamp[:19]} {level:<7} {what}{pairs} [{name}]"
    return f"{line}\n{trace}" if trace else line


def _value(value: Any) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(" \"'=") else repr(text)


def _escaped(text: str) -> str:
    return text if text.isprintable() else repr(text)
