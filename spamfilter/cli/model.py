"""`spamfilter model`: which models are here, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.config import Config

_METRICS_SHOWN = 4

_WHOLE = ": ensemble.roc_auc"


@click.group()
def model() -> None:
    """List and verify models."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_config
def list_(sources: Sources, as_json: bool) -> None:
    """List the model that ships with spamfilter, and those below state_dir/models. The one in use has a star."""
    from rich.text import Text

    from spamfilter.cli.terminal import console, plain, table
    from spamfilter.operating_point import bundle_path

    config = sources.load()
    used = bundle_path(config)
    found = [{**describe(name, path), "used": path == used} for name, path in known(config)]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    out = table("", "name", "model", "created", "MB", "metrics", right=("MB",))
    for one in found:
        star, name = "*" if one["used"] else "", Text(plain(one["name"]))
        if one["error"]:
            out.add_row(star, name, Text(plain(one["error"]), style="red"), "", "", "")
            continue
        metrics = "\n".join(plain(line) for line in _shown(one["metrics"]))
        cells = (Text(plain(str(one["model"]))), Text(plain(str(one["created"] or ""))))
        out.add_row(star, name, *cells, f"{one['bytes'] / 1e6:.1f}", Text(metrics))
    console().print(out)


@model.command()
@click.argument("name", required=False)
@with_config
def verify(sources: Sources, name: str | None) -> None:
    """Check a model's files against its manifest and run its self-test.

    NAME is `default`, a name below state_dir/models or a folder; without it, the configured one.
    """
    from spamfilter import classifier
    from spamfilter.classifier.bundle import open_bundle
    from spamfilter.operating_point import bundle_path

    config = sources.load()
    if name is not None:
        if name != "default" and Path(name).is_dir():
            name = str(Path(name).absolute())
        config = config.model_copy(update={"model": config.model.model_copy(update={"bundle": name})})
    bundle = open_bundle(bundle_path(config))
    bundle.verify()
    click.echo(f"{bundle.path}: every file is as the manifest says")
    classifier.load(bundle.path)
    click.echo(f"{bundle.model_id}: loads, and passes its self-test")


def known(config: Config) -> Iterator[tuple[str, Path]]:
    """Names and folders of the models that are here: the shipped one, those in state_dir/models, the one in use."""
    from spamfilter.classifier.bundle import default_bundle
    from spamfilter.operating_point import DEFAULT_BUNDLE, MODELS, bundle_path

    yield DEFAULT_BUNDLE, default_bundle()
    models = config.path(MODELS)
    own = sorted(path for path in models.iterdir() if path.is_dir()) if models.is_dir() else []
    yield from ((path.name, path) for path in own)
    used = bundle_path(config)
    if used not in (default_bundle(), *own):
        yield config.model.bundle, used


def describe(name: str, path: Path) -> dict[str, Any]:
    """What a bundle's manifest says of it; `error` where it cannot be opened."""
    from spamfilter.classifier.bundle import BundleError, open_bundle

    described: dict[str, Any] = {"name": name, "path": str(path), "error": None}
    try:
        manifest = open_bundle(path).manifest
    except BundleError as error:
        return {**described, "error": str(error)}
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {
        **described,
        "model": manifest.get("model_id"),
        "created": manifest.get("created"),
        "bytes": size,
        "metrics": dict(_figures(manifest.get("metrics", {}))),
    }


def _shown(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What the table has room for: how well the ensemble ranks each set of mails, else the first few figures."""
    whole = {key: value for key, value in metrics.items() if key.endswith(_WHOLE)}
    if whole:
        yield from (f"ROC AUC {value:.5f}  {key.removesuffix(_WHOLE)}" for key, value in whole.items())
    else:
        yield from (f"{key} {_short(value)}" for key, value in islice(metrics.items(), _METRICS_SHOWN))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A manifest's nested metrics as dotted names and single values."""
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{prefix}{key}.")
        elif isinstance(value, int | float | str):
            yield f"{prefix}{key}", value
