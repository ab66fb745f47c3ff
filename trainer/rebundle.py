"""A retrained candidate as a bundle: the tokenizer of the one before, its graph or a new one, all else new; no torch.

A mail host carries no torch. The GPT's new head stands beside the graph, in `head.npz`, and the graph's pooled states
are multiplied with it; so the graph is another one only where the network itself learnt.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from spamfilter.classifier import gpt_runtime as served
from spamfilter.classifier.bundle import MANIFEST, Bundle, write_manifest
from spamfilter.classifier.ensemble import HEAD, SELF_TEST, Ensemble
from spamfilter.classifier.facts import FactsModel
from spamfilter.classifier.ngram import NgramModel
from spamfilter.drift import SNAPSHOT
from spamfilter.message import Kind, Message
from spamfilter.verdict import Failure
from trainer import replay as replays
from trainer.errors import RecipeError
from trainer.evaluation.model_card import model_card
from trainer.recipes.retrain import Candidate, Current
from trainer.replay import Replay
from trainer.stacking import snapshot
from trainer.warm import Head, Stages, logits

CARD = "MODEL_CARD.md"
NETWORK = "gpt.onnx"
RETRAINED_FROM = "retrained from"
"""In a manifest's `training`: the model id of the fully trained bundle."""
_MADE_ANEW = frozenset({"ngram.npz", "facts.npz", HEAD, replays.FILE, SELF_TEST, CARD})
_OF_THE_FORMAT = frozenset({"format", "model_id", "extraction", "files"})


def current_of(bundle: Bundle) -> Current:
    """What a retraining needs of a bundle. Raises BundleError, ValueError, or RecipeError where its head is unknown."""
    ngram = NgramModel.load(bundle.file("ngram.npz"))
    facts = FactsModel.load(bundle.file("facts.npz"))
    return Current(Stages(ngram, facts, head_of(bundle)), bundle.manifest["ensemble"], bundle.manifest["thresholds"])


def head_of(bundle: Bundle) -> Head:
    """The GPT's head: the bundle's own file, else read from its answers. Raises RecipeError where neither works."""
    if HEAD in bundle.manifest["files"]:
        with np.load(bundle.file(HEAD), allow_pickle=False) as arrays:
            return Head(arrays["weight"].astype(np.float32), float(arrays["bias"]))
    return asked_head(bundle)


def asked_head(bundle: Bundle) -> Head:
    """The head of a graph without a file of its own: it is linear in the pooled state, so that answers give it away.

    Raises RecipeError where the answers do not follow from the states.
    """
    from spamfilter.classifier.gpt_runtime import GptRuntime
    from spamfilter.classifier.tokenizer import Tokenizer

    network = GptRuntime(bundle.file("gpt.onnx"))
    vocabulary = Tokenizer.load(bundle.file("tokenizer.tiktoken")).vocab_size
    rng = np.random.default_rng(0)
    answers = [network.score(rng.integers(0, vocabulary, 2 + 14 * (i % 3)).astype(np.int64)) for i in range(16)]
    width = len(answers[0][1])
    answers += [network.score(rng.integers(0, vocabulary, 2 + 14 * (i % 3)).astype(np.int64)) for i in range(3 * width)]
    states = np.stack([state for _, state in answers]).astype(np.float64)
    said = np.array([logit for logit, _ in answers])
    open_states = np.column_stack([states, np.ones(len(states))])
    found, *_ = np.linalg.lstsq(open_states, said, rcond=1e-6)
    off = float(np.abs(open_states @ found - said).max())
    if off > 0.05 * max(float(said.std()), 1.0):
        raise RecipeError(
            f"{bundle.path}: its graph's head cannot be read (answers are off by {off:.2g}): export again"
        )
    return Head(found[:-1].astype(np.float32), float(found[-1]))


def replay_in(bundle: Bundle) -> Replay | None:
    """The bundle's replay, or None where it has none. Raises ValueError where it is of another version."""
    return replays.load(bundle.file(replays.FILE)) if replays.FILE in bundle.manifest["files"] else None


def rebundle(
    out: Path, name: str, base: Bundle, candidate: Candidate, *, metrics: Mapping[str, Any], graph: Path | None = None
) -> Bundle:
    """Write the candidate at `out`, from the bundle that it started from, with another `graph` where one is given; what
    stands there goes only when the new one has passed its self-test. Raises BundleError or RecipeError."""
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in base.manifest["files"]:
        if file not in _MADE_ANEW:
            shutil.copyfile(graph if graph is not None and file == NETWORK else base.file(file), fresh / file)
    stages = candidate.stages
    stages.ngram.save(fresh / "ngram.npz")
    stages.facts.save(fresh / "facts.npz")
    served.Head(stages.head.weight.astype(np.float32), float(stages.head.bias)).save(fresh / HEAD)
    if candidate.replay is not None:
        replays.save(fresh / replays.FILE, candidate.replay)
    content: dict[str, Any] = {key: value for key, value in base.manifest.items() if key not in _OF_THE_FORMAT}
    content |= {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "ensemble": candidate.ensemble,
        "thresholds": candidate.thresholds,
        "cascade": candidate.cascade,
        "metrics": dict(metrics),
        "training": {**base.manifest.get("training", {}), RETRAINED_FROM: base.model_id, **candidate.training},
    }
    content.pop(SNAPSHOT, None)  # drift is measured against this model's own scores
    if candidate.replay is not None:
        known = candidate.replay.calibrating
        probability = 1 / (1 + np.exp(-logits(candidate.ensemble, known.standing, known.mail)))
        content[SNAPSHOT] = snapshot(candidate.thresholds, [(probability, known.spam)])
    (fresh / CARD).write_text(model_card(name, content), "utf-8")
    cases = json.loads(base.file(SELF_TEST).read_text("utf-8"))
    (fresh / SELF_TEST).write_text("[]", "utf-8")
    draft = Ensemble(write_manifest(fresh, name, content))
    cases = [{**case, "probability": _probability(draft, case)} for case in cases]
    (fresh / SELF_TEST).write_text(json.dumps(cases, indent=1, ensure_ascii=False), "utf-8")
    (fresh / MANIFEST).unlink()
    made = write_manifest(fresh, name, content)
    Ensemble.load(fresh)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return Bundle(out, made.manifest)


def _probability(draft: Ensemble, case: Mapping[str, Any]) -> float:
    outcome = draft.score([Message(case["raw"].encode(), "selftest", kind=Kind(case["kind"]))])[0]
    if isinstance(outcome, Failure):
        raise RecipeError(f"self-test {case['name']!r}: {outcome.detail}")
    return round(outcome.probability, 4)
