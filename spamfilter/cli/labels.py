"""`spamfilter labels`: look at what was taught, take it elsewhere, take it back, and seal it."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import click

from spamfilter.cli.learn import HOW, learning, login_name, require_own_state
from spamfilter.cli.moments import Moment
from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spamfilter.learning import Learned
    from spamfilter.store.examples import Labelled
    from spamfilter.store.label_reader import LabelReader
    from spamfilter.store.labels import LabelStore

STREAM = "-"


@click.group()
def labels() -> None:
    """List, export, import and take back what was taught."""


@labels.command("list")
@click.option("--label", type=click.Choice(["ham", "spam"]), help="With this label only.")
@click.option("--who", metavar="NAME", help="Labelled by this person only.")
@click.option("--since", type=Moment(), help="Labelled at or after: 2h, 7d, 2026-01-31, 2026-01-31T12:00.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@with_config
def list_(
    sources: Sources, label: str | None, who: str | None, since: datetime | None, limit: int, as_json: bool
) -> None:
    """List labelled messages, the newest label first."""
    from itertools import islice

    from spamfilter.verdict import Label

    with _reader(sources) as reader:
        chosen = reader.labelled(since, label=None if label is None else Label(label), who=who, newest_first=True)
        found = list(islice(chosen, limit))
        counts = reader.counts()
    if as_json:
        for one in found:
            click.echo(json.dumps(_as_json(one)))
        return
    _print_table(found)
    ham, spam = (counts.by_label[kind] for kind in (Label.HAM, Label.SPAM))
    by = ", ".join(f"{_plain(name)} {sum(of.values())}" for name, of in sorted(counts.by_who.items()))
    click.echo(f"kept: {spam} spam, {ham} ham" + (f" (by {by})" if by else ""))


@labels.command()
@click.argument("file", metavar="FILE|-")
@with_config
def export(sources: Sources, file: str) -> None:
    """Write all labels with their messages to FILE as JSON lines, unsealed; - is standard output."""
    with _reader(sources) as reader:
        if file == STREAM:
            reader.export(sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with _opened(file, "xb") as stream:
            count = reader.export(stream)
    click.echo(f"wrote {count} lines to {file}")


@labels.command("import")
@click.argument("file", metavar="FILE|-")
@with_config
def import_(sources: Sources, file: str) -> None:
    """Take labels that `labels export` wrote, here or on another host; of two labels the later stands.

    The exit code is 1 when lines were left out.
    """
    with learning(sources.load()) as learner, _opened(file, "rb") as stream:
        taken = learner.take(stream)
    for wrong in taken.bad:
        click.echo(f"{file}: {_plain(wrong)}", err=True)
    left_out = f", {taken.bad_count} lines left out" if taken.bad_count else ""
    click.echo(
        f"{taken.new} new, {taken.changed} changed, {taken.forgotten} forgotten, {taken.older} known already{left_out}"
    )
    sys.exit(1 if taken.bad_count else 0)


@labels.command()
@click.argument("hashes", metavar="HASH...", nargs=-1, required=True)
@click.option("--who", metavar="NAME", help="Who says so [default: your login name].")
@with_config
def forget(sources: Sources, hashes: tuple[str, ...], who: str | None) -> None:
    """Delete all that is kept of messages. The beginning of each HASH is enough."""
    from spamfilter.correction import Provenance

    provenance = Provenance(who or login_name(), HOW)
    with learning(sources.load(), with_model=False) as learner:
        found = [learner.find(prefix) for prefix in hashes]
        with learner.many():
            for content in found:
                click.echo(f"forgot {_said(learner.forget(content, provenance))}")


@labels.command()
@click.argument("hash_", metavar="HASH")
@click.option("--who", metavar="NAME", help="Who says so [default: your login name].")
@with_config
def undo(sources: Sources, hash_: str, who: str | None) -> None:
    """Take back what was last said of a message; what was said before counts again."""
    from spamfilter.correction import Provenance

    with learning(sources.load(), with_model=False) as learner:
        learned = learner.undo(learner.find(hash_), Provenance(who or login_name(), HOW))
    click.echo(f"took back {_said(learned)}")


@labels.command()
@with_config
def prune(sources: Sources) -> None:
    """Delete what is older than the configured retention, and bring the memory up to date."""
    with learning(sources.load(), with_model=False) as learner:
        before = sum(learner.counts().by_label.values())
        learner.rebuild()
        gone = before - sum(learner.counts().by_label.values())
    click.echo(f"{gone} examples deleted")


@labels.command()
@with_config
def key(sources: Sources) -> None:
    """Make the key that seals labelled messages from now on, and seal those that are kept open.

    Keep a copy of the key apart from the database's backups: without it nothing sealed can be read again. A running
    daemon seals after its next start.
    """
    from spamfilter.store.seal import make_key, sealer

    config = sources.load()
    require_own_state(config)
    path = config.path(config.learn.key)
    if made := sealer(path) is None:
        make_key(path)
    with _writer(sources) as store:
        sealed = store.seal_all()
        whole = store.scrub()
    click.echo(f"{'made' if made else 'kept'} {path}; {sealed} examples sealed")
    if not whole:
        click.echo("the database's journal still holds them open until its other users close it", err=True)


@contextmanager
def _reader(sources: Sources) -> Iterator[LabelReader]:
    from spamfilter.store.database import store_url
    from spamfilter.store.label_reader import LabelReader
    from spamfilter.store.seal import sealer

    config = sources.load()
    url = store_url(config.store.url, config.state_dir)
    with LabelReader(url, seal=sealer(config.path(config.learn.key))) as reader:
        yield reader


@contextmanager
def _writer(sources: Sources) -> Iterator[LabelStore]:
    from spamfilter.learning import label_store

    store = label_store(sources.load())
    store.open()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _opened(file: str, mode: str) -> Iterator[IO[bytes]]:
    """A file, never replaced and for its owner only where it is written; standard input for `-`."""
    from spamfilter.store.database import StoreError

    if file == STREAM:
        yield sys.stdin.buffer
        return
    try:
        stream = open(file, mode, opener=_private)  # noqa: SIM115 -- Path.open takes no opener; closed below
    except FileExistsError:
        raise StoreError(f"{file}: exists already; give another name") from None
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}") from None
    with stream:
        yield stream


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


def _said(learned: Learned) -> str:
    now = f"now {learned.after}" if learned.after else "no label now"
    return f"{learned.content[:12]} (was {learned.before or 'not labelled'}, {now})"


def _as_json(one: Labelled) -> dict[str, Any]:
    document = one.document
    return {
        "content": one.content,
        "label": one.label,
        "time": one.time.isoformat(),
        "who": one.provenance.who,
        "how": one.provenance.how,
        "channel": one.provenance.channel,
        "kind": one.kind.value,
        "size": one.size,
        "extraction": one.extraction,
        "sender_domain": None if document is None else document.sender_domain,
        "subject": None if document is None else document.subject,
        "model": None if one.reading is None else one.reading.model_id,
        "probability": None if one.reading is None else one.reading.probability,
    }


def _print_table(found: list[Labelled]) -> None:
    from rich.text import Text

    from spamfilter.cli.terminal import LABEL_STYLES, console, plain, table

    if not found:
        click.echo("no labels found")
        return
    out = table("hash", "labelled", "label", "by", "how", "from", "about", "prob.", right=("prob.",))
    for one in found:
        document = one.document
        about = f"(read by extraction {one.extraction})"
        if document is not None:
            about = document.subject or document.text[:60].replace("\n", " ")
        out.add_row(
            one.content[:12],
            f"{one.time.astimezone():%Y-%m-%d %H:%M:%S}",
            Text(one.label, style=LABEL_STYLES[one.label]),
            Text(plain(one.provenance.who)),
            Text(plain(one.provenance.how)),
            Text(plain(document.sender_domain if document else "")),
            Text(plain(about[:60])),
            "" if one.reading is None else f"{one.reading.probability:.4f}",
        )
    console().print(out)


def _plain(text: str) -> str:
    from spamfilter.cli.terminal import plain

    return plain(text)
