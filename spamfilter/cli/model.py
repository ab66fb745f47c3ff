"""`spamfilter model`: which models are here, whether they are whole, and which one serves.

A running daemon takes over what is activated here by itself; nothing is restarted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.bundles import Bundles
    from spamfilter.config import Config

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_why = click.option("--why", default="", metavar="TEXT", help="The reason, for the history.")


@click.group()
def model() -> None:
    """List, check, install and change models."""


@model.command("list")
@_json
@with_config
def list_(sources: Sources, as_json: bool) -> None:
    """List the model that ships with spamfilter, and those below state_dir/models. The one in use has a star."""
    from rich.text import Text

    from spamfilter.bundles import Bundles
    from spamfilter.cli.terminal import console, plain, table
    from spamfilter.model_report import describe, few, known
    from spamfilter.operating_point import bundle_path

    config = sources.load()
    used = bundle_path(config)
    activated = {one.name: one.time for one in Bundles(config.state_dir).history()}
    found = []
    for name, path in known(config):
        since = activated[name].isoformat(timespec="seconds") if name in activated else None
        found.append({**describe(name, path), "used": path == used, "activated": since})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    out = table("", "name", "model", "created", "activated", "MB", "metrics", right=("MB",))
    for one in found:
        star, shown = "*" if one["used"] else "", Text(plain(one["name"]))
        when = f"{activated[one['name']].astimezone():%Y-%m-%d %H:%M:%S}" if one["activated"] else ""
        if one["error"]:
            out.add_row(star, shown, Text(plain(one["error"]), style="red"), "", when, "", "")
            continue
        metrics = "\n".join(plain(line) for line in few(one["metrics"]))
        cells = (Text(plain(str(one["model"]))), Text(plain(str(one["created"] or ""))), when)
        out.add_row(star, shown, *cells, f"{one['bytes'] / 1e6:.1f}", Text(metrics))
    console().print(out)


@model.command()
@click.argument("name", required=False)
@_json
@with_config
def show(sources: Sources, name: str | None, as_json: bool) -> None:
    """Show what is known of a model: training, thresholds, cascade, measurements, gate report, when it served.

    NAME is `default`, a name below state_dir/models or a folder; without it, the one in use.
    """
    from spamfilter.bundles import Bundles
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.cli.terminal import console, plain, table
    from spamfilter.model_report import everything, lines

    config = sources.load()
    name, path = _found(config, name)
    shown = everything(config, name, open_bundle(path), Bundles(config.state_dir).history())
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    out = table("", "")
    out.show_header = False
    for heading, value in lines(shown):
        out.add_row(plain(heading), plain(value))
    console().print(out)


@model.command()
@click.argument("name", required=False)
@_json
@with_config
def verify(sources: Sources, name: str | None, as_json: bool) -> None:
    """Check a model's files against its manifest and run its self-test.

    NAME is `default`, a name below state_dir/models or a folder; without it, the one in use.
    """
    from spamfilter.bundles import loads
    from spamfilter.classifier.bundle import open_bundle

    name, path = _found(sources.load(), name)
    bundle = open_bundle(path)
    bundle.verify()
    if not as_json:
        click.echo(f"{bundle.path}: every file is as the manifest says")
    loads(path)
    told = {"name": name, "path": str(path), "model": bundle.model_id, "whole": True, "self_test": True}
    _tell(as_json, told, f"{bundle.model_id}: loads, and passes its self-test")


@model.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--as", "name", metavar="NAME", help="The name that it gets here [default: its model id].")
@_json
@with_config
def install(sources: Sources, folder: Path, name: str | None, as_json: bool) -> None:
    """Copy the bundle in FOLDER to state_dir/models. It does not serve before it is activated."""
    from spamfilter.bundles import Bundles
    from spamfilter.classifier.bundle import open_bundle

    bundles = Bundles(sources.load().state_dir)
    name = bundles.install(folder, keep_name=name)
    told = {"name": name, "path": str(bundles.path(name)), "model": open_bundle(bundles.path(name)).model_id}
    _tell(as_json, told, f"installed as {name}; to let it serve: spamfilter model activate {name}")


@model.command()
@click.argument("name")
@_why
@_json
@with_config
def activate(sources: Sources, name: str, why: str, as_json: bool) -> None:
    """Make a model serve, after a self-test. A running daemon takes it over while mail passes.

    NAME is `default` for the one that ships with spamfilter, or a name below state_dir/models.
    """
    from spamfilter.activation import registry

    config = sources.load()
    bundles = registry(config)
    before = bundles.link() or "default"
    if bundles.activate(name, why, _who()):
        _tell(as_json, _served(bundles, name, before), f"{name} is the current model; {_when(config)}")
    else:
        _tell(as_json, _served(bundles, name, before), f"{name} is the current model already; nothing has changed")


@model.command()
@_why
@_json
@with_config
def rollback(sources: Sources, why: str, as_json: bool) -> None:
    """Go back to the model that served before the current one."""
    from spamfilter.activation import registry

    config = sources.load()
    bundles = registry(config)
    before = bundles.link() or "default"
    name = bundles.rollback(why, _who())
    _tell(as_json, _served(bundles, name, before), f"back from {before} to {name}; {_when(config)}")


@model.command()
@click.option("--keep", type=click.IntRange(0), help="Keep so many of the newest [default: model.keep].")
@_json
@with_config
def prune(sources: Sources, keep: int | None, as_json: bool) -> None:
    """Remove old models. The current one stays, the one that a rollback would take, and the one in the shadow."""
    config = sources.load()
    removed = prune_old(config, config.model.keep if keep is None else keep)
    _tell(as_json, {"removed": removed}, f"removed: {', '.join(removed)}" if removed else "nothing to remove")


def prune_old(config: Config, keep: int, *, spare: Collection[str] = ()) -> list[str]:
    """Remove all but the `keep` newest models and those in use, the shadow's too; their names. Raises BundleError."""
    from spamfilter.bundles import Bundles
    from spamfilter.shadow import chosen

    state_dir = config.state_dir.absolute()
    shadow = chosen(state_dir)
    return Bundles(state_dir).prune(keep, spare={*spare, *([shadow] if shadow is not None else [])})


def _found(config: Config, name: str | None) -> tuple[str, Path]:
    """A model's name and folder: as named, or the one in use."""
    from spamfilter.operating_point import DEFAULT_BUNDLE, bundle_path

    if name is None:
        path = bundle_path(config)
        return (path.name if path.parent == config.path("models") else config.model.bundle), path
    if name == DEFAULT_BUNDLE:
        from spamfilter.classifier.bundle import default_bundle

        return name, default_bundle()
    if Path(name).is_dir() and not config.path("models").joinpath(name).is_dir():
        return name, Path(name).absolute()
    chosen = config.model.model_copy(update={"bundle": name})
    return name, bundle_path(config.model_copy(update={"model": chosen}))


def _served(bundles: Bundles, name: str, before: str) -> dict[str, Any]:
    from spamfilter.classifier.bundle import open_bundle

    return {"name": name, "model": open_bundle(bundles.path(name)).model_id, "before": before}


def _when(config: Config) -> str:
    from spamfilter.state_dir import owner

    daemon = owner(config.state_dir)
    return f"process {daemon} takes it over in a moment" if daemon else "it serves from the next start"


def _who() -> str:
    """The person at the keyboard, also behind sudo."""
    import getpass

    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _tell(as_json: bool, told: dict[str, Any], sentence: str) -> None:
    click.echo(json.dumps(told, indent=2) if as_json else sentence)
