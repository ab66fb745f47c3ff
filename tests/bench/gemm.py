"""The fastest matrix product that this machine's libraries reach on one thread, int8 and fp32: `gemm(seconds)`.

Run as a process of its own (`python -m tests.bench.gemm SECONDS`, JSON on standard output), so that libraries that
fight about threads do not meet the network that is measured beside them. A library that is not there is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SIDES = (1024, 1536, 2048)
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_SLOWED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some hosts hold numpy's kernels back with these
Run = Callable[[], object]


def gemm(seconds: float) -> dict[str, dict[str, Any]]:
    """Library and kind -> `kind` (int8, fp32), best `gflops`, at which `side`. Each gets so many seconds a side."""
    environment = {name: value for name, value in os.environ.items() if name not in _SLOWED} | _ONE_THREAD
    command = [sys.executable, "-m", "tests.bench.gemm", str(seconds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _candidates(side: int) -> Iterator[tuple[str, str, Run]]:
    """(name, kind, run) of whatever is installed; a maker that fails is not among them."""
    for name, kind, make in (
        ("numpy", "fp32", _numpy),
        ("torch", "fp32", _torch),
        ("onnxruntime MatMul", "fp32", _onnx_fp32),
        ("torch._int_mm", "int8", _torch_int_mm),
        ("torch quantised linear", "int8", _torch_linear),
        ("onnxruntime MatMulInteger", "int8", _onnx_int8),
        ("onnxruntime dynamic quantised", "int8", _onnx_dynamic),
        ("OpenVINO int8", "int8", _openvino),
    ):
        try:
            run = make(side)
            run()
        except Exception as reason:  # whatever a library says of a processor or a type that it does not know
            if side == SIDES[0]:
                print(f"{name}: {type(reason).__name__}: {str(reason)[:120]}", file=sys.stderr)
            continue
        yield name, kind, run


def _numpy(side: int) -> Run:
    import numpy as np

    a, b = (np.random.default_rng(1).standard_normal((side, side), np.float32) for _ in "ab")
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def _torch(side: int) -> Run:
    import torch

    torch.set_num_threads(1)
    a, b, out = torch.randn(side, side), torch.randn(side, side), torch.empty(side, side)
    return lambda: torch.mm(a, b, out=out)


def _torch_int_mm(side: int) -> Run:
    import torch

    torch.set_num_threads(1)
    a, b = (torch.randint(-128, 127, (side, side), dtype=torch.int8) for _ in "ab")
    return lambda: torch._int_mm(a, b)


def _torch_linear(side: int) -> Run:
    import torch

    torch.set_num_threads(1)
    linear = torch.ao.nn.quantized.Linear(side, side)
    weight = torch.quantize_per_tensor(torch.randn(side, side), 0.05, 0, torch.qint8)
    linear.set_weight_bias(weight, torch.zeros(side))
    a = torch.quantize_per_tensor(torch.randn(side, side), 0.05, 64, torch.quint8)
    return lambda: linear(a)


def _session(nodes: list[Any], inputs: list[Any], constants: list[Any]) -> Any:
    import onnxruntime as ort
    from onnx import ValueInfoProto, helper

    graph = helper.make_graph(nodes, "gemm", inputs, [ValueInfoProto(name="y")], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _onnx(side: int, kind: str) -> Run:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    chance = np.random.default_rng(1)
    a = chance.standard_normal((side, side), np.float32)
    weight = chance.integers(-127, 127, (side, side)).astype(np.int8)
    floats = helper.make_tensor_value_info("a", TensorProto.FLOAT, [side, side])
    if kind == "fp32":
        nodes = [helper.make_node("MatMul", ["a", "w"], ["y"])]
        session = _session(nodes, [floats], [numpy_helper.from_array(weight.astype(np.float32), "w")])
        return lambda: session.run(["y"], {"a": a})
    if kind == "integer":
        a = chance.integers(0, 255, (side, side)).astype(np.uint8)
        bytes_ = helper.make_tensor_value_info("a", TensorProto.UINT8, [side, side])
        session = _session(
            [helper.make_node("MatMulInteger", ["a", "w"], ["y"])], [bytes_], [numpy_helper.from_array(weight, "w")]
        )
        return lambda: session.run(["y"], {"a": a})
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["a"], ["q", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["q", "w", "zero"], ["p"]),
        helper.make_node("Cast", ["p"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "scale"], ["y"]),
    ]
    session = _session(nodes, [floats], [numpy_helper.from_array(weight, "w")])
    return lambda: session.run(["y"], {"a": a})


def _onnx_fp32(side: int) -> Run:
    return _onnx(side, "fp32")


def _onnx_int8(side: int) -> Run:
    return _onnx(side, "integer")


def _onnx_dynamic(side: int) -> Run:
    return _onnx(side, "dynamic")


def _openvino(side: int) -> Run:
    import numpy as np
    import openvino as ov
    from openvino import opset13 as op

    chance = np.random.default_rng(1)

    def quantised(node: Any, levels: int) -> Any:
        low, high = op.constant(np.float32(-4.0)), op.constant(np.float32(4.0))
        return op.fake_quantize(node, low, high, low, high, levels)

    a = op.parameter([side, side], np.float32)
    weight = op.constant(chance.standard_normal((side, side), np.float32))
    product = op.matmul(quantised(a, 256), quantised(weight, 255), False, True)
    # the next layer's quantisation: the product leaves as int8, as it does within a network
    model = ov.Model([quantised(product, 256)], [a])
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(chance.standard_normal((side, side), np.float32)))
    return request.infer


def _best(run: Run, seconds: float) -> float:
    """The shortest of all calls within so many seconds."""
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        started = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - started)
        if now >= end:
            return best


def main() -> None:
    """Measure, print JSON."""
    seconds = float(sys.argv[1])
    found: dict[str, dict[str, Any]] = {}
    for side in SIDES:
        for name, kind, run in _candidates(side):
            rate = 2 * side**3 / _best(run, seconds) / 1e9
            if rate > found.get(name, {"gflops": 0.0})["gflops"]:
                found[name] = {"kind": kind, "gflops": round(rate, 1), "side": side}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
