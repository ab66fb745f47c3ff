"""The yardstick of the relay: what a few lines with aiosmtpd and aiosmtplib do, without a log, a header or a check.

    python -m tests.bench.minimal_relay NEXT_HOP

A message is taken by aiosmtpd's server class and sent on by `aiosmtplib.send`, over a new connection each, before it
is answered. The port is the system's choice and stands on the first line of standard output.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import aiosmtplib
from aiosmtpd.smtp import SMTP, Envelope, Session

from spamfilter.config import Address
from tests.bench.roads import announce

_HOSTNAME = "minimal.example"  # given everywhere, so that neither library asks the resolver


class Forwarder:
    """aiosmtpd's handler: the next hop has the message before its sender is told."""

    def __init__(self, next_hop: Address) -> None:
        self._next_hop = next_hop

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Send on; 451 when that fails."""
        content = envelope.original_content
        assert content is not None and envelope.mail_from is not None
        try:
            await aiosmtplib.send(
                content,
                sender=envelope.mail_from,
                recipients=[to for to in envelope.rcpt_tos if to is not None],
                hostname=self._next_hop.host,
                port=self._next_hop.port,
                local_hostname=_HOSTNAME,
                start_tls=False,
            )
        except (aiosmtplib.SMTPException, OSError):
            return "451 4.4.0 Not sent on, try again later"
        return "250 2.0.0 Ok"


async def serve(next_hop: Address) -> None:
    """Listen until cancelled."""
    loop = asyncio.get_running_loop()

    def protocol() -> Any:
        return SMTP(Forwarder(next_hop), hostname=_HOSTNAME, loop=loop)

    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=200)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("next_hop", type=Address.parse)
    asyncio.run(serve(parser.parse_args().next_hop))


if __name__ == "__main__":
    main()
