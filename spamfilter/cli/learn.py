"""`spamfilter learn`: tell the filter what is spam and what is not; the next message of the kind is known at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from spamfilter.cli.mailboxes import Found
    from spamfilter.config import Config
    from spamfilter.correction import Provenance
    from spamfilter.learning import Learned, Learning
    from spamfilter.message import Message
    from spamfilter.verdict import Failure

HOW = "command line"
SPAM, HAM, FORGET, UNDO = "spam", "ham", "forget", "undo"


@click.command(short_help="Tell the filter what is spam and what is ham.")
@click.argument("paths", nargs=-1, type=click.UNPROCESSED)
@click.option("--spam", "action", flag_value=SPAM, help="These are spam.")
@click.option("--ham", "action", flag_value=HAM, help="These are ham.")
@click.option("--forget", "action", flag_value=FORGET, help="Delete all that is kept of these.")
@click.option("--undo", "action", flag_value=UNDO, help="Take back what was last said of each of these.")
@click.option("--who", metavar="NAME", help="Who says so [default: your login name].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a message, one a line.")
@with_config
def learn(sources: Sources, paths: tuple[str, ...], action: str | None, who: str | None, as_json: bool) -> None:
    """Learn from the messages in PATHS: mails, mbox files, Maildirs, folders of mails, or - for standard input.

    What was last said of a message counts. A copy is the same message, whatever was written on top of it on its way. A
    running daemon knows the next one of the kind within a second.

    The exit code is 0 when everything was learned, 1 when something could not be read, 2 when it was refused.
    """
    if action is None:
        raise click.UsageError("say what they are: --spam or --ham (or --forget, --undo)")
    if not paths:
        raise click.UsageError("give PATHS, or - for standard input")
    sys.exit(0 if _learn(sources.load(), paths, action, who or login_name(), as_json=as_json) else 1)


def login_name() -> str:
    """Whose word it is: who logged in, also behind sudo."""
    import getpass

    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):  # a user without a name: some containers
        return f"uid {os.getuid()}"


@contextmanager
def learning(config: Config, *, with_model: bool = True) -> Iterator[Learning]:
    """The labels, opened, with the configured model where it will be asked. Raises StoreError, ConfigError..."""
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.learning import Learning, label_store
    from spamfilter.operating_point import bundle_path, memory_path

    require_own_state(config)
    bundle = open_bundle(bundle_path(config))
    store = label_store(config)
    store.open()
    try:
        model = _Model(config) if with_model else None
        yield Learning(
            store,
            memory_path(config),
            model.examine if model is not None else _no_model,
            bundle.model_id,
            examine_document=model.examine_document if model is not None else None,
            remember=config.learn.remember,
        )
    finally:
        store.close()


def require_own_state(config: Config) -> None:
    """Make state_dir where there is none; refuse that of another user, whose daemon could not write our files."""
    from spamfilter.state_dir import StateDirError

    path = config.state_dir
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat().st_uid
    except OSError as error:
        raise StateDirError(f"state_dir {path}: {error.strerror}; is --state-dir right?") from None
    if owner != os.geteuid():
        raise StateDirError(
            f"state_dir {path} belongs to {_user(owner)}; run this as that user: sudo -u {_user(owner)} spamfilter ..."
        )


class _Model:
    """The configured model, loaded when it is first asked."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loaded: Any = None

    def examine(self, message: Message) -> Any:
        return self._classifier().examine(message)

    def examine_document(self, document: Any) -> Any:
        return self._classifier().examine_document(document)

    def _classifier(self) -> Any:
        if self._loaded is None:
            from spamfilter import classifier
            from spamfilter.classifier.bundle import open_bundle
            from spamfilter.operating_point import bundle_path, resolve_policy, serving_options

            bundle = open_bundle(bundle_path(self._config))
            policy = resolve_policy(self._config.policy, bundle)
            self._loaded = classifier.load(bundle.path, **serving_options(self._config, policy))
        return self._loaded


@dataclass(slots=True)
class _Tally:
    """What came of the messages."""

    done: int = 0
    turned: int = 0
    known: int = 0
    unread: int = 0


def _learn(config: Config, paths: tuple[str, ...], action: str, who: str, *, as_json: bool) -> bool:
    """True when everything was learned."""
    from spamfilter import log
    from spamfilter.cli.mailboxes import messages, total_bytes
    from spamfilter.config import MIB
    from spamfilter.correction import Provenance

    log.configure("error", config.log.format)
    provenance = Provenance(who, HOW, "cli")
    tally = _Tally()
    with (
        learning(config, with_model=action in (SPAM, HAM)) as learner,
        learner.many(),
        _progress(lambda: total_bytes(paths), quiet=as_json) as advance,
    ):
        for found in messages(paths, config.engine.max_message_mib * MIB):
            outcome = (
                found.message if isinstance(found.message, str) else _one(learner, found.message, action, provenance)
            )
            _count(tally, outcome, action)
            if as_json:
                click.echo(json.dumps(_as_json(found, outcome)))
            elif isinstance(outcome, str):
                from spamfilter.cli.terminal import plain

                click.echo(f"{plain(found.place)}: {plain(outcome)}", err=True)
            advance(found.size)
    if not as_json:
        click.echo(_summary(tally, action))
    return tally.unread == 0


def _one(learner: Learning, message: Message, action: str, provenance: Provenance) -> Learned | str:
    from spamfilter.correction import content_hash
    from spamfilter.verdict import Failure, Label

    outcome: Learned | Failure
    if action == UNDO:
        outcome = learner.undo(content_hash(message.raw, message.kind), provenance)
    else:
        outcome = learner.learn(message, None if action == FORGET else Label(action), provenance)
    return (outcome.detail or str(outcome.kind)) if isinstance(outcome, Failure) else outcome


def _count(tally: _Tally, outcome: Learned | str, action: str) -> None:
    if isinstance(outcome, str):
        tally.unread += 1
    elif not outcome.changed:
        tally.known += 1
    else:
        tally.done += 1
        tally.turned += action in (SPAM, HAM) and outcome.before is not None


def _summary(tally: _Tally, action: str) -> str:
    if action in (SPAM, HAM):
        other = HAM if action == SPAM else SPAM
        turned = f" ({tally.turned} {'was' if tally.turned == 1 else 'were'} {other} before)" if tally.turned else ""
        parts = [f"learned {tally.done} as {action}{turned}"]
        known = "known already"
    else:
        parts = [f"forgot {tally.done}" if action == FORGET else f"took back {tally.done}"]
        known = "not known"
    if tally.known:
        parts.append(f"{tally.known} {known}")
    if tally.unread:
        parts.append(f"{tally.unread} not read")
    return ", ".join(parts)


def _as_json(found: Found, outcome: Learned | str) -> dict[str, Any]:
    line: dict[str, Any] = {"path": found.place, "content": None, "before": None, "after": None, "probability": None}
    if isinstance(outcome, str):
        return {**line, "recall": None, "error": outcome}
    line |= {"content": outcome.content, "before": outcome.before, "after": outcome.after}
    recall = outcome.recall
    line["probability"] = outcome.probability
    line["recall"] = None if recall is None else {
        "content": recall.content, "label": recall.label, "similarity": recall.similarity
    }  # fmt: skip
    return line


def _no_model(message: Message) -> Failure:
    from spamfilter.verdict import Failure, FailureKind

    return Failure(FailureKind.ENGINE_DOWN, "no model is loaded")


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _progress(total: Callable[[], int | None], *, quiet: bool) -> AbstractContextManager[Callable[[int], None]]:
    """A bar on standard error where that is a terminal; it counts bytes, since one file may hold many messages."""
    if not sys.stderr.isatty() or (quiet and sys.stdout.isatty()):
        return nullcontext(lambda size: None)
    return _bar(total())


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("learning"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[count]} messages"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("learning", total=total, count=0)
        count = 0

        def advance(size: int) -> None:
            nonlocal count
            count += 1
            progress.update(task, advance=size, count=count)

        yield advance
