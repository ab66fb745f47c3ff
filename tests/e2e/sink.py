"""A next hop that keeps every message before it answers for it, whatever its size and the length of its lines."""

from __future__ import annotations

import random
import socketserver
import threading
import time
from types import TracebackType
from typing import Self

_GREETING = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 209715200\r\n"


class RecordingSink(socketserver.ThreadingTCPServer):
    """Takes all mail on a free port of 127.0.0.1 within a `with` block. `received` has it in order, dots unstuffed.

    With `slowest_s`, it takes up to that long before it keeps a message, and again before it says so.
    """

    request_queue_size = 100

    def __init__(self, slowest_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.received: list[bytes] = []
        self.port: int = self.server_address[1]
        self._slowest_s = slowest_s
        self._random = random.Random(20)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="sink")

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def pause(self) -> None:
        """As long as a busy server takes."""
        time.sleep(self._random.uniform(0.0, self._slowest_s))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Returns when all clients have gone."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Session(socketserver.StreamRequestHandler):
    timeout = 300
    server: RecordingSink

    def handle(self) -> None:
        try:
            self._say(b"220 sink.test ESMTP\r\n")
            for line in self.rfile:
                if not self._answer(line[:4].upper()):
                    return
        except OSError:
            return  # the client was killed

    def _answer(self, verb: bytes) -> bool:
        if verb == b"DATA":
            self._say(b"354 Go on\r\n")
            content = self._content()
            if content is None:
                return False
            self.server.pause()
            self.server.received.append(content)
            self.server.pause()
        self._say({b"EHLO": _GREETING, b"QUIT": b"221 2.0.0 Bye\r\n"}.get(verb, b"250 2.0.0 Ok\r\n"))
        return verb != b"QUIT"

    def _content(self) -> bytes | None:
        """A message to its final dot, or None when the client goes before."""
        lines: list[bytes] = []
        for line in self.rfile:
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
        return None

    def _say(self, reply: bytes) -> None:
        self.wfile.write(reply)
