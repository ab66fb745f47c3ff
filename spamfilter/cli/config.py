"""`spamfilter config`: find mistakes, and see what is in force."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.config import Config


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@with_config
def check(sources: Sources, file: Path | None) -> None:
    """Find mistakes in FILE, or in the configuration that would be used."""
    used = replace(sources, file=file) if file else sources
    used.load()
    click.echo(f"{used.path or 'built-in defaults'}: no mistakes found")


@config.command()
@click.option("--defaults", is_flag=True, help="Print the built-in defaults instead, every option explained.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
@with_config
def show(sources: Sources, defaults: bool, as_json: bool) -> None:
    """Print every option with the value in force: defaults, file, environment and --set merged."""
    import yaml

    if defaults:
        click.echo(resources.files("spamfilter").joinpath("defaults.yaml").read_text("utf-8"), nl=False)
        return
    merged = as_data(sources.load())
    if as_json:
        click.echo(json.dumps(merged, indent=2))
    else:
        click.echo(f"# {sources.path or 'built-in defaults'}")
        click.echo(yaml.safe_dump(merged, sort_keys=False, default_flow_style=False, allow_unicode=True), nl=False)


def as_data(config: Config) -> dict[str, Any]:
    """A configuration as plain data that `config.load` reads back to the same."""
    data: dict[str, Any] = config.model_dump(mode="json")
    for key in ("listen", "next_hop"):
        address = getattr(config.smtp, key)
        data["smtp"][key] = str(address) if address else ""
    return data
