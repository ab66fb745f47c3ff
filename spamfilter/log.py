"""Where log events go: one line each on standard error, for people or as JSON for collectors.

Our own events (structlog) and those of libraries (stdlib logging) come out in the same form. Values are escaped, so
that nothing in a mail can start a line of its own.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_CHATTY = {"mail.log": logging.WARNING, "alembic": logging.WARNING, "watchdog": logging.WARNING}


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["text", "json"]) -> None:
    """Send every event of at least `level` to standard error. Replaces what was configured before."""
    threshold = getattr(logging, level.upper())
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=form == "json"),
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(form)))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(max(threshold, least))
    logging.captureWarnings(True)


def _rendering(form: Literal["text", "json"]) -> list[Processor]:
    last: list[Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if form == "json"
        else [structlog.processors.format_exc_info, _text]
    )
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]


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
