"""What the program says of itself is whole: every command, option and setting is explained."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

import click
import pytest

from spamfilter.cli import main
from spamfilter.config import defaults


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below, one in command.commands.items():
            yield from _commands(one, f"{name} {below}")


COMMANDS = dict(_commands(main, "spamfilter"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help, name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"
            assert parameter.help.endswith("."), f"{name} {parameter.opts[0]}: {parameter.help}"


def test_the_commands_are_those_that_were_promised() -> None:
    assert {
        "serve", "scan", "decisions list", "decisions show", "config check", "config show",
        "model list", "model verify", "doctor",
    } <= {name.removeprefix("spamfilter ") for name in COMMANDS}  # fmt: skip


_PLAIN = {
    "log", "model", "policy", "headers", "engine", "smtp", "folder", "console", "store",  # sections
    "smtp.enabled", "folder.enabled", "smtp.listen", "smtp.max_recipients",  # say it themselves
}  # fmt: skip


def _uncommented() -> Iterator[str]:
    """Keys of defaults.yaml with no comment above them, nor above the keys that they stand together with."""
    section, explained = "", False
    for line in resources.files("spamfilter").joinpath("defaults.yaml").read_text("utf-8").splitlines():
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if stripped.startswith("#"):
            explained = True
        elif not stripped:
            explained = False
        elif depth <= 2:
            key = stripped.partition(":")[0]
            section = key if depth == 0 else section
            name = key if depth == 0 else f"{section}.{key}"
            if not explained and name not in _PLAIN:
                yield name
            explained = explained and depth > 0


def test_every_setting_has_a_comment() -> None:
    assert list(_uncommented()) == []


def test_settings_that_need_no_comment_exist() -> None:
    shipped = defaults()
    names = set(shipped) | {f"{s}.{k}" for s, keys in shipped.items() if isinstance(keys, dict) for k in keys}
    assert names >= _PLAIN
