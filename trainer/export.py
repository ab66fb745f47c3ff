"""Checkpoint to bundle: the serving graph, the linear stages, how they are put together, and what was measured."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spamfilter.classifier.bundle import MANIFEST, Bundle, write_manifest
from spamfilter.classifier.ensemble import HEAD, SELF_TEST, Ensemble
from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.gpt_runtime import Head
from spamfilter.classifier.ngram import NgramModel
from spamfilter.drift import SNAPSHOT
from spamfilter.message import Message, kind_of
from spamfilter.traits import TRAITS
from spamfilter.verdict import Failure
from trainer import replay as replays
from trainer.errors import RecipeError
from trainer.evaluation.model_card import model_card
from trainer.gpt import GPT
from trainer.replay import Replay


class ServingGPT(nn.Module):
    """The classifier for one window without padding: ids (T,) -> spam logit (), pooled state (C,).

    Where the last token is pooled, only it asks in the last block: nothing after it reads the other positions.
    """

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        model = self.model
        x = model.tokens(ids) + model.positions.weight[: ids.shape[0]]
        for block in model.blocks[:-1]:
            x = x + self._attend(block.attention, block.norm1(x))
            x = x + block.down(F.gelu(block.up(block.norm2(x)), approximate="tanh"))
        block = model.blocks[-1]
        alone = model.config.pooling == "last"
        last = (x[-1:] if alone else x) + self._attend(block.attention, block.norm1(x), last_only=alone)
        last = last + block.down(F.gelu(block.up(block.norm2(last)), approximate="tanh"))
        pooled = model.norm(last).mean(0)
        logits = model.classifier(pooled)
        return logits[1] - logits[0], pooled

    @staticmethod
    def _attend(attention: nn.Module, x: Tensor, *, last_only: bool = False) -> Tensor:
        T, C = x.shape
        heads = attention.heads
        q, k, v = attention.qkv(x).split(C, 1)
        if last_only:
            q = q[-1:]
        q = q.view(-1, heads, C // heads).transpose(0, 1)  # (nh, Tq, hs)
        k = k.view(T, heads, C // heads).permute(1, 2, 0)  # (nh, hs, T)
        v = v.view(T, heads, C // heads).transpose(0, 1)  # (nh, T, hs)
        weights = (q @ k) * (C // heads) ** -0.5
        if not last_only:
            places = torch.arange(T, device=x.device)
            weights = weights + torch.where(places[None, :] > places[:, None], -1e9, 0.0)
        y = weights.softmax(-1) @ v
        return attention.out(y.transpose(0, 1).reshape(-1, C))


def export_graph(model: GPT, path: Path, *, int8: bool = True) -> None:
    """Write the serving graph as ONNX, its matrices as int8 where asked (activations by their range, per message).

    Raises RecipeError for a network that pools at the end of the padding: in service there is none.
    """
    if model.config.pooling == "last-padded":
        raise RecipeError("pooling 'last-padded' cannot be served: fine-tune with pooling=last or mean to export")
    serving = ServingGPT(model.eval()).eval()
    example = torch.randint(0, model.config.vocab_size, (17,))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        full = Path(folder) / "full.onnx"
        torch.onnx.export(
            serving,
            (example,),
            str(full),
            input_names=["ids"],
            output_names=["logit", "pooled"],
            dynamic_shapes={"ids": {0: torch.export.Dim("T", min=2, max=model.config.context)}},
            dynamo=True,
            external_data=False,
            verbose=False,
            optimize=True,
        )
        if not int8:
            graph = onnx.load(full)
            _forget_origins(graph)
            onnx.save(graph, path)
            return
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantised = Path(folder) / "int8.onnx"
        # 7-bit weights: processors without VNNI saturate sums of 8-bit products
        quantize_dynamic(
            full,
            quantised,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm"],
        )
        graph = onnx.load(quantised)
        _halve_tables(graph)
        _forget_origins(graph)
        onnx.checker.check_model(graph)
        onnx.save(graph, path)


def _forget_origins(model: onnx.ModelProto) -> None:
    """Take out stack traces: they name folders of the machine that trained, and mean nothing elsewhere."""
    graph = model.graph
    for named in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        named.doc_string = ""
        named.ClearField("metadata_props")


def _halve_tables(graph: onnx.ModelProto) -> None:
    """Store embedding tables (what a Gather reads rows of) in half precision; the rows are widened when read."""
    tables = {initializer.name: initializer for initializer in graph.graph.initializer}
    nodes = list(graph.graph.node)
    for node in nodes:
        if node.op_type != "Gather" or node.input[0] not in tables:
            continue
        table = tables[node.input[0]]
        values = onnx.numpy_helper.to_array(table)
        if values.dtype != np.float32 or values.ndim != 2:
            continue
        table.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), table.name))
        wide = node.output[0]
        node.output[0] = f"{wide}_half"
        cast = onnx.helper.make_node("Cast", [node.output[0]], [wide], to=onnx.TensorProto.FLOAT)
        graph.graph.node.insert(list(graph.graph.node).index(node) + 1, cast)
        for info in list(graph.graph.value_info):
            if info.name == table.name:
                graph.graph.value_info.remove(info)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that goes into a bundle besides the network."""

    tokenizer: Path
    ngram: NgramModel
    facts: FactsModel
    ensemble: Mapping[str, Any]
    thresholds: list[dict[str, float]]
    cascade: Mapping[str, Any]
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    samples: Mapping[str, bytes]
    replay: Replay | None = None
    snapshot: Mapping[str, Any] | None = None
    traits: Mapping[str, Any] | None = None


def write_bundle(out: Path, name: str, model: GPT, parts: Parts, *, int8: bool = True) -> Bundle:
    """Write a bundle at `out`, replacing what stands there only when the new one has passed its own self-test."""
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    export_graph(model, fresh / "gpt.onnx", int8=int8)
    shutil.copyfile(parts.tokenizer, fresh / "tokenizer.tiktoken")
    parts.ngram.save(fresh / "ngram.npz")
    parts.facts.save(fresh / "facts.npz")
    weight, bias = (parameter.detach().numpy() for parameter in (model.classifier.weight, model.classifier.bias))
    # beside the graph, so that a retraining can replace it without torch
    Head(weight[1] - weight[0], float(bias[1] - bias[0])).save(fresh / HEAD)
    if parts.replay is not None:
        replays.save(fresh / replays.FILE, parts.replay)
    (fresh / SELF_TEST).write_text("[]", "utf-8")
    content: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "context": model.config.context,
        "ensemble": parts.ensemble,
        "thresholds": parts.thresholds,
        "cascade": parts.cascade,
        "metrics": parts.metrics,
        "training": parts.training,
    }
    if parts.snapshot is not None:
        content[SNAPSHOT] = parts.snapshot
    if parts.traits is not None:
        content[TRAITS] = parts.traits
    (fresh / "MODEL_CARD.md").write_text(model_card(name, content), "utf-8")
    draft = Ensemble(write_manifest(fresh, name, content))
    (fresh / SELF_TEST).write_text(
        json.dumps(self_test_cases(draft, parts.samples), indent=1, ensure_ascii=False), "utf-8"
    )
    (fresh / MANIFEST).unlink()
    bundle = write_manifest(fresh, name, content)
    Ensemble.load(fresh)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return Bundle(out, bundle.manifest)


def self_test_cases(draft: Ensemble, samples: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The samples with the probabilities that this machine gives them."""
    cases = []
    for name, raw in sorted(samples.items()):
        text = raw.decode("utf-8")
        outcome = draft.score([Message(raw, "selftest", kind=kind_of(raw))])[0]
        if isinstance(outcome, Failure):
            raise ValueError(f"{name}: {outcome.detail}")
        cases.append(
            {"name": name, "kind": str(kind_of(raw)), "raw": text, "probability": round(outcome.probability, 4)}
        )
    return cases
