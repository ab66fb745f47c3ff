"""`spamfilter serve`: run the daemon in the foreground, as systemd and containers expect."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import click

from spamfilter.cli.options import Sources, with_config

if TYPE_CHECKING:
    from spamfilter.daemon import Daemon


@click.command(short_help="Filter mail until stopped.")
@with_config
def serve(sources: Sources) -> None:
    """Filter mail until stopped: SMTP relay, watched folder, decision log."""
    import asyncio

    from spamfilter import log
    from spamfilter.daemon import Daemon

    config = sources.load()
    log.configure(config.log.level, config.log.format)

    async def life() -> None:
        await Daemon.from_config(config).run(lambda daemon: click.echo(welcome(daemon, sources)))

    asyncio.run(life())


def welcome(daemon: Daemon, sources: Sources) -> str:
    """Seven lines for a newcomer: where mail goes in and comes out, what to try, how to look, to teach and to stop."""
    config = daemon.config
    smtp, folder = "off (smtp.enabled)", "off (folder.enabled)"
    trial = "put a mail into the folder"
    if config.smtp.enabled:
        listen = str(getattr(daemon.frontends["smtp"], "address", config.smtp.listen))
        onward = config.smtp.next_hop
        out = f"handed on to {onward}" if onward else f"delivered to {config.path(config.smtp.maildir).absolute()}"
        smtp = f"SMTP on {listen}, {out}"
        trial = _trial(listen)
    if config.folder.enabled:
        path = config.path(config.folder.path).absolute()
        folder = f"drop .eml or .txt files into {path}/in; they come out in {path}/ham, unsure, spam"
    pages = "off (console.enabled)"
    if daemon.console is not None:
        apart = f"{daemon.console.origin}; {_program()} console link signs in"
        pages = apart if _into_the_journal() else daemon.console.link
    arguments = sources.as_arguments()
    teach = f"{_program()} learn --spam FILES, or --ham"
    if config.learn.folders.enabled:
        teach += f"; or drop them into {config.path(config.learn.folders.path).absolute()}/spam, ham"
    return "\n".join(
        (
            f"mail:   {smtp}",
            f"folder: {folder}",
            f"pages:  {pages}",
            f"try:    {trial}",
            f"look:   {_program()} decisions list{' ' if arguments else ''}{arguments}",
            f"teach:  {teach}",
            f"stop:   Ctrl-C, or kill {os.getpid()}",
        )
    )


def _into_the_journal() -> bool:
    """Whether standard output goes where others may read what signs in: systemd.exec(5), JOURNAL_STREAM."""
    out = os.fstat(1)
    return os.environ.get("JOURNAL_STREAM") == f"{out.st_dev}:{out.st_ino}"


def _program() -> str:
    """How to call this program again: by name where it is on the path, else as it was called."""
    return "spamfilter" if shutil.which("spamfilter") else shlex.quote(sys.argv[0])


def _trial(listen: str) -> str:
    if listen.startswith("unix:"):
        return f"point your mail server's relay at {listen}"
    if shutil.which("swaks"):
        return (
            f"swaks --server {listen} --from me@example.org --to you@example.org "
            "--header 'Subject: You won' --body 'Claim your FREE prize now'"
        )
    host, _, port = listen.rpartition(":")
    program = (
        f'import smtplib; smtplib.SMTP("{host.strip("[]")}", {port}).sendmail("me@example.org", "you@example.org", '
        r'"Subject: You won\n\nClaim your FREE prize now")'
    )
    return f"python3 -c '{program}'"
