"""`spamfilter scan --pipe`: a message goes in at standard input and comes out at standard output, whatever happens.

A filter in a delivery agent's pipe holds the message for a moment, so the promise is: all of it comes out, marked or
marked as unscanned, or else the exit code is 75 (EX_TEMPFAIL of sysexits.h) or 74 (EX_IOERR) and the agent keeps it.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from spamfilter.cli.options import Sources

if TYPE_CHECKING:
    from spamfilter.config import Config
    from spamfilter.message import Message
    from spamfilter.verdict import Decision, Failure

EX_IOERR = 74
EX_TEMPFAIL = 75


def run(sources: Sources, *, fail_exit: bool, report: bool = False) -> int:
    """Filter one message, with `report` and a report of why; the exit code."""
    try:
        raw = sys.stdin.buffer.read()
    except OSError as error:
        _complain(f"standard input cannot be read: {error}")
        return EX_IOERR
    turn = threading.Lock()  # taken once, by who answers: this thread, or the watch, which then ends the process
    config: Config | None = None

    def give_up(why: Failure | Exception) -> int:
        _complain(f"message not scanned: {why}")
        return EX_TEMPFAIL if fail_exit else _write(_unscanned(raw, why, config))

    def too_late(deadline_s: float) -> None:
        if turn.acquire(blocking=False):
            os._exit(give_up(TimeoutError(f"no verdict within {deadline_s:g} s")))

    result: bytes | Failure | Exception
    try:
        config = sources.load()
        watch = threading.Timer(config.engine.deadline_s, too_late, (config.engine.deadline_s,))
        watch.daemon = True
        watch.start()
        try:
            result = _marked(config, raw, report=report)
        finally:
            watch.cancel()
    except Exception as error:  # the promise above: whatever is wrong, the message comes out
        result = error
    turn.acquire()
    return _write(result) if isinstance(result, bytes) else give_up(result)


def _marked(config: Config, raw: bytes, *, report: bool) -> bytes | Failure:
    from spamfilter import log
    from spamfilter.headers import mark
    from spamfilter.verdict import Failure

    log.configure("error", config.log.format)
    message, decision = _decided(config, raw, report=report)
    if isinstance(decision.outcome, Failure):
        return decision.outcome
    return mark(message, decision, config.markup)


def _decided(config: Config, raw: bytes, *, report: bool) -> tuple[Message, Decision]:
    from spamfilter import classifier
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.config import MIB
    from spamfilter.headers import Report, Reported
    from spamfilter.message import Message, kind_of
    from spamfilter.operating_point import bundle_path, resolve_policy, serving_options
    from spamfilter.policy import decide
    from spamfilter.verdict import Failure, FailureKind, Score

    message = Message(raw, "pipe", kind=kind_of(raw))
    bundle = open_bundle(bundle_path(config))
    policy = resolve_policy(config.policy, bundle)
    outcome: Score | Failure
    if len(raw) > config.engine.max_message_mib * MIB:
        outcome = Failure(FailureKind.TOO_LARGE, f"{len(raw)} bytes, limit {config.engine.max_message_mib} MiB")
    else:
        model = classifier.load(bundle.path, **serving_options(config, policy))
        outcome = model.score([message])[0]
        decision = decide(message.id, outcome, policy)
        # a report is worth no mail: what cannot be explained goes on without
        if report and Report.ALL.wants(decision) and not isinstance(found := model.explain(message), Failure):
            return message, Reported(decision.message_id, decision.outcome, decision.action, found.report())
    return message, decide(message.id, outcome, policy)


def _unscanned(raw: bytes, why: Failure | Exception, config: Config | None) -> bytes:
    """The message with forged verdicts removed and marked `unscanned`; as it came when even that fails."""
    try:
        import socket

        from spamfilter.headers import Markup, mark
        from spamfilter.message import Message, kind_of
        from spamfilter.verdict import Action, Decision, Failure, FailureKind

        message = Message(raw, "pipe", kind=kind_of(raw))
        if not isinstance(why, Failure):
            late = isinstance(why, TimeoutError)
            why = Failure(FailureKind.TIMEOUT if late else FailureKind.ENGINE_DOWN, str(why) if late else "")
        markup = config.markup if config is not None else Markup(socket.gethostname() or "localhost")
        return mark(message, Decision(message.id, why, Action.ACCEPT), markup)
    except Exception as error:
        _complain(f"message not marked: {error!r}")
        return raw


def _write(out: bytes) -> int:
    try:
        sys.stdout.buffer.write(out)
        sys.stdout.buffer.flush()
    except OSError as error:
        _complain(f"standard output cannot be written: {error}")
        os._exit(EX_IOERR)  # the interpreter would try to flush once more, and fail again
    return 0


def _complain(what: str) -> None:
    print(f"spamfilter: {what}", file=sys.stderr)  # noqa: T201
