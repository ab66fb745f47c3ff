"""The folder frontend in a process of its own, to be killed: `python -m tests.frontends.folder_process ROOT`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.fakes import FakeEngine
from tests.frontends.folder_setup import served


async def main(root: Path) -> None:
    """Serve until SIGTERM; a line on standard output when ready."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    engine = FakeEngine()
    engine.delay_s = 0.005
    async with served(root, engine=engine, rescan_s=0.2):
        print("ready", flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
