"""The learn folders in a process of their own, to be killed: `python -m tests.frontends.learn.folders_process ROOT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from spamfilter.correction import Provenance
from spamfilter.learning import Learned
from spamfilter.message import Message
from spamfilter.verdict import Failure, Label
from tests.frontends.learn.setup import Recorder, folders


class Diary(Recorder):
    """Writes down what was learned before it says so."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("ab", buffering=0)

    async def __call__(self, message: Message, label: Label | None, provenance: Provenance) -> Learned | Failure:
        outcome = await super().__call__(message, label, provenance)
        self._file.write(b"%s %s\n" % (str(label).encode(), message.raw.split(b"\n\n", 1)[1].strip()))
        return outcome


async def main(root: Path) -> None:
    """Serve until killed; a line on standard output when ready."""
    async with folders(root, Diary(root / "diary"), rescan_s=0.1):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
