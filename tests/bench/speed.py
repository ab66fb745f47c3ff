"""Messages a second on one core, ours beside the peers', the same real mails in the same run, in rounds by turns.

    python -m tests.bench.speed [--mails 2000] [--core N] [--peers spamassassin,rspamd,bogofilter,sklearn | none]
                                [--cascade both] [--figure FILE.png] [--json FILE]

Client and server run on one core; two workers have two. `tests/bench/install_peers.sh` installs the peers; one that is
missing gets a row that says so. Each is started from a temporary folder, on ports of its own, and ended.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import pictures, race, report, steps
from tests.bench.figures import Ratio
from tests.bench.mails import Drawn, draw
from tests.bench.ours import InProcess, Pool, ThroughPool, switch
from tests.bench.peers import bogofilter, tfidf
from tests.bench.peers.rspamd import Rspamd, WithEnvelope
from tests.bench.peers.spamassassin import SpamAssassin

PEERS = ("spamassassin", "rspamd", "bogofilter", "sklearn")
_SATURATED = 64
_NAN = float("nan")


def pools(cascades: Sequence[bool], cores: Sequence[int]) -> list[ThroughPool]:
    """One and two workers, one caller and many; two workers only where there are two cores."""
    made = []
    for cascade in cascades:
        for workers in (1, 2):
            if workers <= len(cores):
                pool = Pool(workers, cascade, cores)
                made += [ThroughPool(pool, 1), ThroughPool(pool, _SATURATED)]
    return made


def peers(wanted: Sequence[str], folder: Path, drawn: Drawn, cores: Sequence[int]) -> list[race.Contestant]:
    """Those that were asked for."""
    made: list[race.Contestant] = []
    if "spamassassin" in wanted:
        made.append(SpamAssassin(folder))
    if "rspamd" in wanted:
        rspamd = Rspamd(folder, dns_core=cores[-1])
        made += [rspamd, WithEnvelope(rspamd)]
    if "bogofilter" in wanted:
        words = bogofilter.WordList(folder, drawn.others)
        made += [bogofilter.Single(words), bogofilter.Bulk(words)]
    if "sklearn" in wanted:
        learner = tfidf.Learner(folder, drawn.others)
        made += [tfidf.OneByOne(learner), tfidf.Batch(learner)]
    return made


def ratios(tallies: Mapping[str, race.Tally], cascades: Sequence[bool]) -> list[Ratio]:
    """Ours over each peer, and two workers over one, by the medians of their rounds: what was wanted of each."""

    def has(name: str) -> race.Tally | None:
        tally = tallies.get(name)
        return None if tally is None or tally.absent is not None else tally

    def compared(what: str, over: str, under: str, wanted: float, *, strictly: bool = False, cpu: bool = True) -> Ratio:
        a, b = has(over), has(under)
        by_cpu = b.cpu_ms / a.cpu_ms if cpu and a is not None and b is not None else _NAN
        return Ratio(what, a.middle if a else _NAN, b.middle if b else _NAN, wanted, strictly, by_cpu)

    found = []
    wanted = [(False, "rspamd", 1.5, False), (False, "spamc -> spamd", 25, False), (True, "rspamd", 8, False)]
    for cascade, peer, least, strictly in [*wanted, (True, "bogofilter, bulk", 1, True)]:
        if cascade in cascades:
            for how in ("in process", "1 worker, one at a time", f"1 worker, {_SATURATED} waiting"):
                what = f"cascade {switch(cascade)}, {how}"
                found.append(compared(f"{what} / {peer}", f"ours, {what}", peer, least, strictly=strictly))
    for cascade in cascades:
        over, under = (
            f"ours, cascade {switch(cascade)}, {count}, {_SATURATED} waiting" for count in ("2 workers", "1 worker")
        )
        what = f"cascade {switch(cascade)}, {_SATURATED} waiting: 2 workers / 1"
        found.append(compared(what, over, under, 1.8, cpu=False))
    if True in cascades and (ours := has("ours, cascade on, in process")):
        found.append(Ratio("cascade on, in process: msg/s / 1,000", ours.middle, 1e3, 1, by_cpu=1 / ours.cpu_ms))
    return found


def main() -> None:
    """Draw, start, race, print."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that what was started is ended
    cores = sorted(os.sched_getaffinity(0))
    core = cores[-1] if options.core is None else options.core
    if core not in cores:
        sys.exit(f"--core: this process may run on {', '.join(map(str, cores))}")
    ordered = [core, *(other for other in cores if other != core)]
    cascades = {"on": [True], "off": [False], "both": [False, True]}[options.cascade]
    where = report.setting("scikit-learn", "psutil")
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # spamd reads its folder as another user
        drawn = draw(options.data_dir, options.mails, folder, others=options.train)
        in_process = [InProcess(cascade) for cascade in cascades]
        others = peers(options.peers, folder, drawn, ordered)
        with race.pinned({core}):
            tallies = race.run(
                [*in_process, *pools(cascades, ordered), *others],
                drawn.mails,
                rounds=options.rounds,
                part=lambda who: options.slow_part if isinstance(who, SpamAssassin) else 1.0,
            )
        closed = sum(peer.closed for peer in others if isinstance(peer, Rspamd))
    figures: dict[str, Any] = {
        "core": core,
        "mails": len(drawn.mails),
        "mean_bytes": round(drawn.mean_bytes),
        "rounds": options.rounds,
        "contestants": {name: tally.figures() for name, tally in tallies.items()},
    }
    speed = report.table(race.COLUMNS, [tally.row() for tally in tallies.values()])
    speed.caption = (
        f"{drawn.about()}; core {core}; {options.rounds} rounds by turns, spamd on {options.slow_part:g} of each "
        f"round; with {_SATURATED} waiting the milliseconds include the wait; RSS counts shared pages in each process; "
        "ours remembers no text (engine.campaigns: 0); CPU: processor time a mail of client and server together\n"
        + "\n".join(f"{tally.name}: {tally.how}" for tally in tallies.values() if tally.absent is None)
        + (f"\nrspamd was asked to keep connections and closed {closed}" if closed else "")
    )
    seen = {switch(cascade): one.seen for cascade, one in zip(cascades, in_process, strict=True)}
    named = steps.names([one for each in seen.values() for one in each])
    costs = {which: steps.by_class(each, named) for which, each in seen.items()}
    figures["steps"] = costs
    by_step = report.table(steps.columns(named), steps.rows(costs, named))
    found = ratios(tallies, cascades)
    figures["ratios"] = [
        {
            "what": ratio.what,
            "ratio": None if ratio.kept is None else round(ratio.value, 3),
            "by_cpu": None if math.isnan(ratio.by_cpu) else round(ratio.by_cpu, 3),
            "wanted": ratio.wanted,
            "kept": ratio.kept,
        }
        for ratio in found
    ]
    of_them = report.table(("ratio of medians", "ratio", "by CPU", "wanted", "kept"), [ratio.row() for ratio in found])
    report.publish("speed", where, [speed, by_step, of_them], figures, options.json)
    if options.figure:
        bars = {
            f"cascade {which}, {name} ({cost['mails']})": cost["mean_ms"]
            for which, classes in costs.items()
            for name, cost in classes.items()
        }
        size = f"{len(drawn.mails)} mails, mean {drawn.mean_bytes / 1e3:.1f} kB"
        about = f"{where['cpu']}, one core, {where['model']}; {size}"
        pictures.stages(bars, named, about, options.figure)


def _options() -> argparse.Namespace:
    parser = report.arguments(__doc__)
    parser.add_argument("--mails", type=int, default=2000, help="how many each contestant scans")
    parser.add_argument("--train", type=int, default=4000, help="other mails for the peers that learn")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--slow-part", type=float, default=1.0, help="share of each round's mails that spamd scans")
    parser.add_argument("--core", type=int, help="the core to run on; the last one when not given")
    parser.add_argument("--peers", type=_peers, default=PEERS, help="a comma between them, or none")
    parser.add_argument("--cascade", choices=("on", "off", "both"), default="both")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="a PNG of what the steps cost")
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    if not options.mails >= options.rounds >= 1 or not 0 < options.slow_part <= 1:
        parser.error("--rounds: 1 to --mails; --slow-part: above 0, at most 1")
    return options


def _peers(text: str) -> tuple[str, ...]:
    named = () if text == "none" else tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in named if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(PEERS)}, or none")
    return named


if __name__ == "__main__":
    main()
