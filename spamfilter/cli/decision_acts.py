"""`spamfilter decisions mark, release, delete`: what a person does about one decision; each is noted in the audit."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from spamfilter.cli.decision_filters import opened
from spamfilter.cli.learn import HAM, HOW, SPAM, UNDO, learning, login_name, require_own_state
from spamfilter.cli.options import Sources, with_config
from spamfilter.verdict import Disposition

if TYPE_CHECKING:
    from spamfilter.config import Config
    from spamfilter.learning import Learned
    from spamfilter.store.history import LoggedDecision

_who = click.option("--who", metavar="NAME", help="Who says so [default: your login name].")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--spam", "action", flag_value=SPAM, help="It is spam.")
@click.option("--ham", "action", flag_value=HAM, help="It is ham.")
@click.option("--undo", "action", flag_value=UNDO, help="Take back what was last said of it.")
@_who
@_json
@with_config
def mark(sources: Sources, id_: str, action: str | None, who: str | None, as_json: bool) -> None:
    """Say what the message of a decision really is, and learn from it. The beginning of its ID is enough.

    The message must still be at hand: quarantined, delivered here, or kept (store.keep_days).
    """
    if action is None:
        raise click.UsageError("say what it is: --spam or --ham (or --undo)")
    config = sources.load()
    with opened(sources) as history:
        decision = history.get(id_)
    outcome = _marked(config, decision, action, who or login_name())
    if isinstance(outcome, str):
        click.echo(f"error: {decision.id}: {outcome}", err=True)
        sys.exit(2)
    _note(config, who, "decision.undo" if action == UNDO else "decision.mark", decision.id, outcome.after)
    if as_json:
        told = {"before": outcome.before, "after": outcome.after, "changed": outcome.changed}
        click.echo(json.dumps({"id": decision.id, **told}))
        return
    before, after = outcome.before or "nothing", outcome.after or "nothing"
    click.echo(f"{decision.id}: {after} (before: {before})" if outcome.changed else f"{decision.id}: {after} already")


@click.command()
@click.argument("id_", metavar="ID")
@_who
@_json
@with_config
def release(sources: Sources, id_: str, who: str | None, as_json: bool) -> None:
    """Deliver a quarantined message to the next hop, or into the local Maildir. The beginning of its ID is enough."""
    from spamfilter.release import Release

    config, whole = _quarantined(sources, id_)
    done = Release(config).release(whole, who or login_name())
    _note(config, who, "quarantine.release", whole, done.detail)
    click.echo(_told(whole, done.disposition, done.detail, as_json))


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_who
@_json
@with_config
def delete(sources: Sources, id_: str, yes: bool, who: str | None, as_json: bool) -> None:
    """Delete a quarantined message for good. The beginning of its ID is enough."""
    from spamfilter.release import Release

    config, whole = _quarantined(sources, id_)
    if not yes:
        click.confirm(f"delete {whole} for good?", abort=True)
    Release(config).delete(whole, who or login_name())
    _note(config, who, "quarantine.delete", whole)
    click.echo(_told(whole, Disposition.DELETED, "", as_json))


def _told(id_: str, disposition: Disposition, detail: str, as_json: bool) -> str:
    if as_json:
        return json.dumps({"id": id_, "disposition": disposition, "detail": detail})
    return f"{id_}: {disposition}" + (f": {detail}" if detail else "")


def _quarantined(sources: Sources, id_: str) -> tuple[Config, str]:
    """The configuration and the whole id. Raises StoreError."""
    from spamfilter import log

    config = sources.load()
    log.configure("error", config.log.format)
    with opened(sources) as history:
        decision = history.get(id_)
    require_own_state(config)
    return config, decision.id


def _marked(config: Config, decision: LoggedDecision, action: str, who: str) -> Learned | str:
    from spamfilter import log
    from spamfilter.correction import Provenance, content_hash
    from spamfilter.store.at_hand import Places
    from spamfilter.verdict import Failure, Label

    log.configure("error", config.log.format)
    provenance = Provenance(who, HOW, "cli")
    if action == UNDO and decision.content:
        with learning(config, with_model=False) as learner:
            return learner.undo(decision.content, provenance)
    found = Places.of(config).get(decision)
    with learning(config, with_model=action != UNDO) as learner:
        if action == UNDO:
            return learner.undo(content_hash(found.raw, found.kind), provenance)
        outcome = learner.learn(found.message(decision), Label(action), provenance)
    return (outcome.detail or str(outcome.kind)) if isinstance(outcome, Failure) else outcome


def _note(config: Config, who: str | None, action: str, subject: str, detail: str | None = None) -> None:
    from spamfilter.store.audit import Audit
    from spamfilter.store.database import store_url

    with Audit(store_url(config.store.url, config.state_dir)) as audit:
        audit.note(who or login_name(), HOW, action, subject, detail)
