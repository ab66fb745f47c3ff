"""Kills processes that change a registry of models at random instants, and looks at it after each: `STATE_DIR ROUNDS`.

A process of its own, small and with one thread, because it forks: a new interpreter for every kill would take minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from spamfilter.bundles import DEFAULT, HISTORY, Bundles, is_whole
from spamfilter.classifier import bundle as shipped
from spamfilter.classifier.bundle import BundleError, open_bundle, write_manifest

LONGEST_S = 0.03


def make(folder: Path, seed: int) -> Path:
    """A whole bundle of two files, as far as its manifest goes."""
    folder.mkdir(parents=True)
    for name in ("weights.bin", "table.bin"):
        (folder / name).write_bytes(random.Random(seed).randbytes(20_000))
    write_manifest(folder, f"m{seed}", {"ensemble": {}, "thresholds": []})
    return folder


def change(state_dir: Path, sources: list[Path], rng: random.Random) -> None:
    """Whatever can be done to a registry, until the end."""
    bundles = Bundles(state_dir, check=is_whole)
    while True:
        with contextlib.suppress(BundleError):  # nothing to roll back to, pruned: those are answers
            match rng.choice(["install", "activate", "activate", "rollback", "prune"]):
                case "install":
                    bundles.install(rng.choice(sources))
                case "activate":
                    bundles.activate(rng.choice([DEFAULT, *bundles.names()]), "as the dice say", "a test")
                case "rollback":
                    bundles.rollback("as the dice say", "a test")
                case "prune":
                    bundles.prune(rng.randint(0, 3))


def watch(state_dir: Path, seconds: float) -> None:
    """Look at the link all the time, as a daemon may at any. Raises where it is gone for a moment."""
    bundles, end, seen = Bundles(state_dir), time.monotonic() + seconds, False
    while time.monotonic() < end:
        there = bundles.link() is not None
        assert there or not seen, "for a moment nothing serves"
        seen = there


def inspect(state_dir: Path) -> str:
    """The registry as a daemon would find it now: what serves. Raises where that cannot, or the account is wrong."""
    bundles = Bundles(state_dir, check=is_whole)
    serves = bundles.current()
    assert serves is not None or not bundles.history(), "nothing serves, after something did"
    if serves is not None:
        open_bundle(serves).verify()
    for name in bundles.names():
        open_bundle(bundles.path(name)).verify()  # what has its name is whole
    bundles.heal()
    history = bundles.history()
    assert (history[-1].name if history else DEFAULT) == (bundles.link() or DEFAULT), "the last line is not the truth"
    for older, newer in zip([None, *history], history, strict=False):
        assert newer.before == (DEFAULT if older is None else older.name), "a line is missing"
    lines = (bundles.folder / HISTORY).read_text().splitlines() if history else []
    assert len(lines) - len(history) <= inspect.torn + 1, "more than torn lines are unreadable"  # type: ignore[attr-defined]
    inspect.torn = len(lines) - len(history)  # type: ignore[attr-defined]
    assert bundles.current() == serves, "looking changed what serves"
    left = [entry.name for entry in bundles.folder.iterdir() if entry.name.startswith((".new-", ".gone-"))]
    assert not left, left
    return bundles.link() or DEFAULT


inspect.torn = 0  # type: ignore[attr-defined]


def main() -> None:
    """Print one JSON object: how many rounds, what served after how many of them, how long the history is."""
    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    state_dir = root / "state"
    small = make(root / "shipped", 99)
    shipped.default_bundle = lambda: small
    sources = [make(root / f"source{seed}", seed) for seed in range(4)]
    Bundles(state_dir, check=is_whole).install(sources[0])
    rng, served = random.Random(int(sys.argv[3])), Counter[str]()
    for _ in range(rounds):
        seed = rng.random()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                change(state_dir, sources, random.Random(seed))
            os._exit(9)
        try:
            watch(state_dir, rng.uniform(0.001, LONGEST_S))
        finally:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the process fell over by itself"
        served[inspect(state_dir)] += 1
    history = Bundles(state_dir).history()
    healed = sum(one.by == "unknown" for one in history)
    print(json.dumps({"rounds": rounds, "served": served, "activations": len(history), "healed": healed}))


if __name__ == "__main__":
    main()
