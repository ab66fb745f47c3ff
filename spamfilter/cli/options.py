"""Where a command's configuration comes from: --config, --state-dir and --set, the same on every command.

Without --config it is $SPAMFILTER_CONFIG, else /etc/spamfilter/spamfilter.yaml if there is one, else the defaults.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from spamfilter.config import Config

SYSTEM_CONFIG = Path("/etc/spamfilter/spamfilter.yaml")
CONFIG_VARIABLE = "SPAMFILTER_CONFIG"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given on the command line; `load` merges it with files and environment."""

    file: Path | None
    state_dir: Path | None
    settings: tuple[str, ...]

    @property
    def path(self) -> Path | None:
        """The configuration file in use, or None."""
        if self.file is not None:
            return self.file
        return SYSTEM_CONFIG if SYSTEM_CONFIG.exists() else None

    def load(self) -> Config:
        """The merged configuration. Raises ConfigError."""
        import yaml

        from spamfilter.config import ConfigError, load

        overrides: dict[str, Any] = {}
        for setting in self.settings:
            key, equals, text = setting.partition("=")
            if not equals or not key:
                raise ConfigError(f"--set {setting}: write it as key=value, for example smtp.listen=127.0.0.1:10025")
            value: object = text
            with contextlib.suppress(yaml.YAMLError):  # "[::1]:10025" is no YAML, and an address
                value = yaml.safe_load(text) if text else ""
            overrides[key.strip().replace(".", "__")] = value
        if self.state_dir is not None:
            overrides["state_dir"] = str(self.state_dir)
        return load(self.path, **overrides)

    def as_arguments(self) -> str:
        """The same choice for another command, as text to copy into a shell."""
        import shlex

        words: list[str] = []
        if self.file is not None:
            words += ["--config", str(self.file)]
        if self.state_dir is not None:
            words += ["--state-dir", str(self.state_dir)]
        for setting in self.settings:
            words += ["--set", setting]
        return shlex.join(words)


def with_config(command: Command) -> Command:
    """Give a command the options, and their `Sources` as its first argument."""

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        envvar=CONFIG_VARIABLE,
        help=f"Configuration file [default: ${CONFIG_VARIABLE}, {SYSTEM_CONFIG}, or none].",
    )
    @click.option(
        "--state-dir", type=click.Path(path_type=Path), help="Use this state_dir instead of the configured one."
    )
    @click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set one option; may be repeated.")
    @functools.wraps(command)
    def wrapped(
        *args: Any, config_file: Path | None, state_dir: Path | None, settings: tuple[str, ...], **options: Any
    ) -> Any:
        return command(Sources(config_file, state_dir, settings), *args, **options)

    return wrapped  # type: ignore[return-value]
