"""A name server that answers every question at once with NXDOMAIN: `python -m tests.bench.peers.nxdomain PORT`.

A filter that asks the network is measured without it and without waiting for it. The answer carries an SOA record, as
a real one does: rspamd's resolver takes answers of up to 28 bytes for broken, and asks again.
"""

from __future__ import annotations

import socket
import struct
import sys

_SOA = b"\0" + struct.pack(">HHIH", 6, 1, 60, 22) + bytes(2) + struct.pack(">5I", 1, 60, 60, 60, 60)
_FLAGS_AND_COUNTS = b"\x81\x83" + struct.pack(">4H", 1, 0, 1, 0)
_HEADER = 12


def answer(question: bytes) -> bytes | None:
    """The reply to one datagram; None for what is no question. Source: RFC 1035 4.1, RFC 2308 2.1."""
    end = _HEADER
    while end < len(question) and question[end]:
        end += question[end] + 1
    end += 5
    if end > len(question):
        return None
    return question[:2] + _FLAGS_AND_COUNTS + question[_HEADER:end] + _SOA


def main() -> None:
    """Answer until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.bind(("127.0.0.1", int(sys.argv[1])))
        while True:
            question, client = server.recvfrom(4096)
            if (reply := answer(question)) is not None:
                server.sendto(reply, client)


if __name__ == "__main__":
    main()
