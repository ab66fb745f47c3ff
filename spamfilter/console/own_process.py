"""Starts `spamfilter` commands as processes of their own, under exactly the configuration that the daemon runs with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import yaml

from spamfilter.config import ENV_PREFIX, Config
from spamfilter.console.security.private_file import write_private

FOLDER = "console"
WRITTEN = "effective.yaml"


def own_command(config: Config, *words: str) -> tuple[list[str], Mapping[str, str]]:
    """`spamfilter WORDS --config FILE` and its environment; the file is left below `state_dir`. Raises OSError."""
    folder = config.state_dir.absolute() / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = config.model_copy(update={"state_dir": config.state_dir.absolute()})
    write_private(folder / WRITTEN, yaml.safe_dump(settings.model_dump(mode="json")))  # it may hold a URL's password
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    return [sys.executable, "-m", "spamfilter", *words, "--config", str(folder / WRITTEN)], environ
