"""`spamfilter console`: the way in to the pages of this machine, people's accounts, and tokens for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from spamfilter.cli.console_audit import audit
from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.config import Config
    from spamfilter.console.security.accounts import Accounts
    from spamfilter.console.security.tokens import Tokens

_ROLES = ("viewer", "operator", "admin")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
_from_stdin = click.option("--stdin", is_flag=True, help="Read the password from a line of standard input.")


@click.group()
def console() -> None:
    """Sign in to the console; keep its accounts and tokens; see who did what.

    The exit code is 0, and 2 when something is wrong.
    """


console.add_command(audit)


@console.command()
@with_config
def link(sources: Sources) -> None:
    """Print the address that signs in on this machine, once; using it makes another one."""
    from spamfilter.config import ConfigError
    from spamfilter.console.security.link import written_link
    from spamfilter.console.services import FOLDER

    config = sources.load()
    try:
        found = written_link(config.path(FOLDER))
    except OSError as error:
        raise ConfigError(f"the link cannot be read: {error}; run this as the daemon's user") from None
    if found is None:
        raise ConfigError(
            f"no console serves on this machine's own address with state_dir {config.state_dir}; "
            "start `spamfilter serve`, or sign in with an account (`spamfilter console user add NAME`)"
        )
    click.echo(found)


@console.group()
def user() -> None:
    """Accounts: who may sign in with name and password."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="viewer", show_default=True,
              help="viewer looks and tries, operator corrects and releases, admin changes everything.")  # fmt: skip
@_from_stdin
@with_config
def add_user(sources: Sources, name: str, role: str, stdin: bool) -> None:
    """Give NAME an account; asks for the password."""
    from spamfilter.console.security.roles import Role

    accounts = _accounts(sources.load())
    accounts.add(name, Role(role), _password(stdin), _now())
    click.echo(f"{name} may sign in as {role}")


@user.command("list")
@_json
@with_config
def list_users(sources: Sources, as_json: bool) -> None:
    """List the accounts."""
    found = _accounts(sources.load()).all()
    rows = [{"name": one.name, "role": str(one.role), "created": one.created} for one in found]
    _print(rows, ("name", "role", "created"), as_json, nothing="no accounts; `spamfilter console user add NAME`")


@user.command("password")
@click.argument("name")
@_from_stdin
@with_config
def set_password(sources: Sources, name: str, stdin: bool) -> None:
    """Give NAME another password; where NAME is signed in with the old one, that ends."""
    _accounts(sources.load()).set_password(name, _password(stdin))
    click.echo(f"{name} has another password")


@user.command("remove")
@click.argument("name")
@with_config
def remove_user(sources: Sources, name: str) -> None:
    """Take NAME's account away; where NAME is signed in, that ends."""
    _accounts(sources.load()).remove(name)
    click.echo(f"{name} has no account any more")


@console.group()
def token() -> None:
    """Tokens: programs show one to ask for verdicts (POST /v1/scan)."""


@token.command("add")
@click.argument("name")
@with_config
def add_token(sources: Sources, name: str) -> None:
    """Make a token called NAME and print it; it is not kept and cannot be shown again."""
    click.echo(_tokens(sources.load()).add(name, _now()))


@token.command("list")
@_json
@with_config
def list_tokens(sources: Sources, as_json: bool) -> None:
    """List the tokens' names."""
    rows = [{"name": one.name, "created": one.created} for one in _tokens(sources.load()).all()]
    _print(rows, ("name", "created"), as_json, nothing="no tokens; `spamfilter console token add NAME`")


@token.command("remove")
@click.argument("name")
@with_config
def remove_token(sources: Sources, name: str) -> None:
    """Take the token NAME away; what shows it is refused from now on."""
    _tokens(sources.load()).remove(name)
    click.echo(f"the token {name} opens nothing any more")


def _accounts(config: Config) -> Accounts:
    from spamfilter.cli.learn import require_own_state
    from spamfilter.console.security.accounts import Accounts
    from spamfilter.console.services import FOLDER

    require_own_state(config)
    return Accounts(config.path(FOLDER))


def _tokens(config: Config) -> Tokens:
    from spamfilter.cli.learn import require_own_state
    from spamfilter.console.security.tokens import Tokens
    from spamfilter.console.services import FOLDER

    require_own_state(config)
    return Tokens(config.path(FOLDER))


def _password(stdin: bool) -> str:
    """A new password, typed twice, or a line of standard input. Raises ConfigError where it will not do."""
    from spamfilter.console.security.accounts import checked

    if stdin:
        return checked(sys.stdin.readline().rstrip("\r\n"))
    return checked(str(click.prompt("Password", hide_input=True, confirmation_prompt="Repeat it", err=True)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _print(rows: Sequence[dict[str, str]], columns: tuple[str, ...], as_json: bool, *, nothing: str) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    if not rows:
        click.echo(nothing)
        return
    from spamfilter.cli.terminal import console, plain, table

    out = table(*columns)
    for row in rows:
        out.add_row(*(plain(row[column]) for column in columns))
    console().print(out)
