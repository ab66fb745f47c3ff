"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

data_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder with the corpora (or SPAMFILTER_DATA_DIR)."
)
run_option = click.option(
    "--run", type=click.Path(path_type=Path), default=Path("runs/default"), show_default=True, help="The run's folder."
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value of the recipe (repeatable)."
)


def recipe_option(default: str) -> Any:
    """`--recipe`: a shipped recipe's name or a YAML file."""
    return click.option("--recipe", default=default, show_default=True, help="A shipped recipe's name, or a YAML file.")


def values(overrides: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` pairs, values read as YAML."""
    import yaml

    found = {}
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals:
            raise click.UsageError(f"--set {item}: write it as KEY=VALUE")
        found[key] = yaml.safe_load(text)
    return found
