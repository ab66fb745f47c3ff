"""How near the network comes to what one core can do: its operations a second beside the best matrix product's.

    python -m tests.bench.ceiling [--core N] [--mails 300] [--seconds 0.5] [--json FILE]

The ceiling is the fastest int8 product of 1024 to 2048 square that any installed library reaches on that core (torch,
onnxruntime, OpenVINO), measured before and after the network; fp32 stands beside it. The network is the served one,
`gpt.onnx` by `GptRuntime`, on full windows and on windows of real mails. Operations are counted from the shapes that
its matrix products had when it ran, and beside it by hand from the network's shape.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from spamfilter.classifier.bundle import Bundle, default_bundle, open_bundle
from spamfilter.classifier.gpt_runtime import GptRuntime
from spamfilter.classifier.ngram import NgramModel
from spamfilter.classifier.tokenizer import Tokenizer
from spamfilter.document import extract, render
from tests.bench import race, report
from tests.bench.figures import GptShape, mean
from tests.bench.gemm import gemm
from tests.bench.mails import draw

Window = npt.NDArray[np.int64]
_ROUNDS = 5


def _network(bundle: Bundle) -> str:
    return str(bundle.manifest.get("training", {}).get("network", ""))


def shape_of(bundle: Bundle, *, last_layer_for_last_token: bool = False) -> GptShape:
    """The network's shape as the manifest tells it."""
    found = re.match(r"(\d+) layers, (\d+) channels", _network(bundle))
    if found is None:
        sys.exit(f"{bundle.path}: the manifest says {_network(bundle)!r} of the network")
    layers, channels = int(found[1]), int(found[2])
    return GptShape(layers, channels, 4 * channels, last_layer_for_last_token)


def windows(bundle: Bundle, raws: Sequence[bytes]) -> list[Window]:
    """What the network reads of these mails."""
    tokenizer = Tokenizer.load(bundle.file("tokenizer.tiktoken"))
    ngram = NgramModel.load(bundle.file("ngram.npz"))
    made = []
    for raw in raws:
        head, tail = render(extract(raw))
        made.append(tokenizer.window(head, tail, int(bundle.manifest["context"]), ngram.judge(head, tail)[1]))
    return made


def best_seconds(network: GptRuntime, given: Sequence[Window]) -> float:
    """The sum over the windows of each one's shortest time in some passes over all."""
    best = [float("inf")] * len(given)
    for _ in range(_ROUNDS):
        for number, window in enumerate(given):
            started = time.perf_counter()
            network.score(window)
            best[number] = min(best[number], time.perf_counter() - started)
    return sum(best)


def profiled(path: Path, given: Sequence[Window]) -> tuple[int, dict[str, dict[str, float]]]:
    """Operations of all matrix products over these windows, and by kind of node: calls, microseconds, operations.

    By onnxruntime's own profile, in which every node has the shapes that it worked on. One thread.
    """
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(["logit"], {"ids": given[0]})  # memory is laid out on the first run
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for window in given:
            session.run(["logit"], {"ids": window})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    calls, microseconds, operations = Counter[str](), Counter[str](), Counter[str]()
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        about = event["args"]
        kind = about["op_name"]
        calls[kind] += 1
        microseconds[kind] += event["dur"]
        operations[kind] += product_operations(kind, about)
    kinds = {
        kind: {"calls": calls[kind], "us": float(took), "operations": operations[kind]}
        for kind, took in microseconds.most_common()
    }
    return sum(operations.values()), kinds


_PRODUCTS = re.compile(r"MatMul|Gemm", re.I)


def product_operations(kind: str, about: Mapping[str, Any]) -> int:
    """2 x the elements of the product x the length of the inner dimension; 0 for what is no matrix product."""
    if not _PRODUCTS.search(kind):
        return 0
    shapes = [next(iter(entry.values())) for entry in about["input_type_shape"]]
    output = next(iter(about["output_type_shape"][0].values()))
    return 2 * int(np.prod(output, dtype=np.int64)) * int(shapes[0][-1])


def ceilings(*measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The best of several measurements by library."""
    best: dict[str, dict[str, Any]] = {}
    for each in measured:
        for name, result in each.items():
            if name not in best or result["gflops"] > best[name]["gflops"]:
                best[name] = dict(result)
    return best


def main() -> None:
    """Measure, print."""
    parser = report.arguments(__doc__)
    parser.add_argument("--mails", type=int, default=300, help="real mails whose windows the network reads")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each library and side of the matrix")
    parser.add_argument("--core", type=int, help="the core to run on; the last one when not given")
    parser.add_argument("--data-dir", type=Path, help="folder of the corpora")
    options = parser.parse_args()
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    where = report.setting("torch", "openvino", "onnx")
    bundle = open_bundle(default_bundle())
    context = int(bundle.manifest["context"])
    with tempfile.TemporaryDirectory(prefix="spamfilter-bench-") as name, race.pinned({core}):
        real = windows(bundle, [mail.raw for mail in draw(options.data_dir, options.mails, Path(name)).mails])
        full = [window for window in real if len(window) == context][:50]
        before = gemm(options.seconds)
        network = GptRuntime(bundle.file("gpt.onnx"))
        loads = {f"{len(full)} full windows": full, f"{len(real)} windows of real mails": real}
        took = {load: best_seconds(network, given) for load, given in loads.items()}
        counted = {load: profiled(bundle.file("gpt.onnx"), given) for load, given in loads.items()}
        after = gemm(options.seconds)
    best = ceilings(before, after)
    top = {
        kind: max((r["gflops"] for r in best.values() if r["kind"] == kind), default=0.0) for kind in ("int8", "fp32")
    }
    products = report.table(
        ("matrix product, one thread", "kind", "GFLOP/s", "side"),
        [(name, r["kind"], r["gflops"], r["side"]) for name, r in sorted(best.items(), key=lambda p: -p[1]["gflops"])],
    )
    shape = shape_of(bundle)
    rows: list[tuple[object, ...]] = []
    by_load: dict[str, dict[str, Any]] = {}
    for load, given in loads.items():
        operations, kinds = counted[load]
        by_hand = sum(shape.matrix_flops(len(w)) + shape.attention_flops(len(w), causal=False) for w in given)
        causal = sum(shape.matrix_flops(len(w)) + shape.attention_flops(len(w), causal=True) for w in given)
        rate = operations / took[load] / 1e9
        by_load[load] = {
            "mean_tokens": round(mean([len(w) for w in given]), 1),
            "ms": round(1e3 * took[load] / len(given), 4),
            "mflop": round(operations / len(given) / 1e6, 2),
            "mflop_by_hand": round(by_hand / len(given) / 1e6, 2),
            "mflop_by_hand_causal_half": round(causal / len(given) / 1e6, 2),
            "gflops": round(rate, 1),
            "share_of_int8": round(rate / top["int8"], 4),
            "share_of_fp32": round(rate / top["fp32"], 4),
            "by_node": kinds,
        }
        f = by_load[load]
        rows.append(
            (
                load,
                *(f[k] for k in ("mean_tokens", "ms", "mflop", "mflop_by_hand", "mflop_by_hand_causal_half")),
                f"{rate:.0f}",
                f"{100 * f['share_of_int8']:.0f} %",
                f"{100 * f['share_of_fp32']:.0f} %",
            )
        )
    columns = ("network alone", "tokens", "ms", "MFLOP", "by hand", "causal half", "GFLOP/s", "of int8", "of fp32")
    shares = report.table(columns, rows)
    shares.caption = (
        f"core {core}; {_network(bundle)}; each window's best of {_ROUNDS} passes. MFLOP: matrix products "
        "as run, whole T x T attention; by hand: 2 T parameters + 4 T^2 C a layer, all layers for all tokens; causal "
        "half: without what lies above the diagonal"
    )
    figures = {"core": core, "products": best, "ceiling_gflops": top, "network": by_load}
    nodes = [_breakdown(load, by_load[load], top["int8"]) for load in loads]
    report.publish("ceiling of the network", where, [products, shares, *nodes], figures, options.json)


def _breakdown(load: str, figures: Mapping[str, Any], ceiling: float) -> Any:
    kinds = figures["by_node"]
    total = sum(kind["us"] for kind in kinds.values())
    rows = [
        (
            name,
            int(kind["calls"]),
            f"{kind['us'] / 1e3:.2f}",
            f"{100 * kind['us'] / total:.1f} %",
            f"{kind['operations'] / kind['us'] / 1e3:.0f}" if kind["operations"] else "-",
            f"{100 * kind['operations'] / kind['us'] / 1e3 / ceiling:.0f} %" if kind["operations"] else "-",
        )
        for name, kind in kinds.items()
        if kind["us"] >= 0.002 * total
    ]
    return report.table((f"nodes, {load}", "calls", "ms", "of the time", "GFLOP/s", "of int8"), rows)


if __name__ == "__main__":
    main()
