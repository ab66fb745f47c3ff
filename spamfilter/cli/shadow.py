"""`spamfilter model shadow`: try an installed model on the mail that passes, without letting it decide anything."""

from __future__ import annotations

import json

import click

from spamfilter.cli.options import Sources, with_config


@click.command("shadow", short_help="Try a model beside the one that serves.")
@click.argument("name", required=False)
@click.option("--off", is_flag=True, help="End it; what was noted stays.")
@click.option("--json", "as_json", is_flag=True, help="Print what would change as JSON.")
@with_config
def shadow(sources: Sources, name: str | None, off: bool, as_json: bool) -> None:
    """Let the installed model NAME score a share of the mail beside the one that serves. Nothing is decided by it.

    Without NAME: what it would have decided otherwise until now.
    """
    from spamfilter.classifier.bundle import BundleError
    from spamfilter.shadow import chosen, found_until_now, put

    if off and name is not None:
        raise click.UsageError("NAME or --off, not both")
    config = sources.load()
    state_dir = config.state_dir.absolute()
    if off or name is not None:
        try:
            put(state_dir, name)
        except OSError as error:
            raise BundleError(f"{error.filename}: {error.strerror}; run it as the daemon's user") from None
        click.echo(
            "no model runs in the shadow now" if name is None else f"{name} runs in the shadow of the daemon now"
        )
        return
    if (name := chosen(state_dir)) is None:
        raise click.UsageError("no model runs in the shadow; give the NAME of one")
    found = found_until_now(config, name)
    if as_json:
        changed = [{"from": old, "to": new, "messages": count} for (old, new), count in found.changed.items()]
        largest = [pair.as_json() for pair in found.largest]
        plain = {"name": name, "compared": found.pairs, "failed": found.failed, "changed": changed, "largest": largest}
        click.echo(json.dumps({**plain, "sentence": found.sentence}))
        return
    click.echo(f"{name}: {found.sentence}")
    for pair in found.largest:
        click.echo(f"{pair.id}  {pair.current:.4f} -> {pair.candidate:.4f}")
