"""`compare feedback`: how fast does a filter learn a site's mail from corrections, beside who learns from nothing else?

A source plays the site: the model in service never saw it, nor anything like it. Half of its near-duplicate groups are
judged; of the other half people correct messages as they come. Everybody gets the same corrections.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from trainer.commands.options import data_option, run_option, set_option, values
from trainer.experiments.sources import SOURCES, source_option

FOLDER = Path("experiments") / "feedback"
COUNTS = (10, 50, 200, 1000)
BEFORE, FULL = "before", "fully trained"
MEMORY, RETRAIN, OURS = "memory alone", "retrain alone", "memory + retrain"
SAMPLED = "retrain alone, unlabelled mail besides"
WITHIN_REACH = 200
"""At so many corrections 95 % of the fully trained recall is wanted."""
COLUMNS = ("recall_at_0.5", "roc_auc")


@dataclass(frozen=True)
class World:
    """A site that the model has never seen: its table (N rows), what the stages read of it, and what serves there."""

    source: str
    table: pd.DataFrame
    inputs: Any
    current: Any
    replay: Any
    full: Any
    """The linear stages fitted on everything but the judged half, as if the site had been there from the start."""
    raw_of: Callable[[], Sequence[Any]]
    """The raw messages (N), read when somebody asks."""

    @property
    def spam(self) -> np.ndarray:
        """Labels (N,)."""
        return self.table["spam"].to_numpy()

    @cached_property
    def judged(self) -> np.ndarray:
        """The rows (T,) that nobody corrects: half of the groups."""
        return np.flatnonzero(is_judged(self.table["group"].to_numpy()))

    @cached_property
    def stream(self) -> np.ndarray:
        """The rows that may be corrected."""
        return np.flatnonzero(~is_judged(self.table["group"].to_numpy()))

    def corrected(self, count: int, seed: int) -> np.ndarray:
        """The first `count` rows that people correct, as they come; one of a class that is missing takes the last's
        place."""
        order = np.random.default_rng(seed).permutation(self.stream)
        taken = order[:count]
        for label in (0, 1):
            if not (self.spam[taken] == label).any():
                taken = np.append(taken[:-1], order[count:][self.spam[order[count:]] == label][:1])
        return taken

    def sampled(self, count: int, seed: int, corrected: np.ndarray) -> Any:
        """`count` others of the stream as the daemon samples mail that nobody labels, or None for none."""
        from trainer.unlabelled import as_sampled

        order = np.random.default_rng(seed).permutation(self.stream)
        rows = order[~np.isin(order, corrected)][:count]
        return as_sampled(self.inputs[rows], self.current.stages.ngram.idf) if len(rows) else None

    def corrections(self, rows: np.ndarray, *, spam: np.ndarray | None = None, who: np.ndarray | None = None) -> Any:
        """Rows as corrections of one person, or of `who` (N,), with other labels where they are given."""
        from trainer.trust import Corrections

        return Corrections(
            self.inputs[rows], self.spam[rows] if spam is None else spam,
            np.array(["ann"] * len(rows)) if who is None else who,
            self.table["group"].to_numpy()[rows].astype(str), np.arange(len(rows), dtype=float),
        )  # fmt: skip

    @cached_property
    def raws(self) -> list[bytes]:
        """The raw messages (N), for programs that read mail."""
        from trainer.evaluation.scoring import as_mail

        return [as_mail(example) for example in self.raw_of()]

    @cached_property
    def texts(self) -> list[str]:
        """The canonical texts (N), for baselines."""
        from trainer.evaluation.baselines import texts_of

        return texts_of(self.table)

    def logits(self, stages: Any, ensemble: Mapping[str, Any], rows: np.ndarray) -> np.ndarray:
        """What a model says of rows."""
        from trainer.warm import logits, standings

        inputs = self.inputs[rows]
        return logits(ensemble, standings(ensemble, stages.scores(inputs), inputs.mail), inputs.mail)

    @cached_property
    def fingerprints(self) -> np.ndarray:
        """MinHash (N, 64) of each row's text."""
        from spamfilter.classifier.fingerprint import fingerprint
        from trainer.data.prepared import render_columns

        heads, tails = render_columns(self.table)
        return np.stack([fingerprint(head, tail) for head, tail in zip(heads, tails, strict=True)])


def is_judged(groups: np.ndarray) -> np.ndarray:
    """Half of the groups (N,) bool, by a digit of their names that parts nothing else."""
    return np.array([int(str(group)[8:10], 16) % 2 == 0 for group in groups])


def world_of(source: str, run: Path, data: Path, evidence: Any, *, most: int = 6000) -> World:
    """The site `source` and the model that never saw it, from what `compare sources` left in the run. Raises
    RecipeError where that is missing. A few minutes at the first time, then kept in the run's folder."""
    from spamfilter.classifier.facts import FactsModel
    from spamfilter.classifier.ngram import NgramModel
    from trainer.data.prepared import fingerprint_of
    from trainer.errors import RecipeError
    from trainer.evaluation.scoring import corpora_of, matched
    from trainer.experiments import sources
    from trainer.inputs import Inputs
    from trainer.recipes.retrain import Current
    from trainer.replay import Origin, chosen, load, replay_of, save
    from trainer.stacking import Calibration, Unseen, threshold_table, units_of
    from trainer.warm import Stages

    table, stamp = evidence.table, fingerprint_of(evidence.table)
    found = {name: sources.load(run / sources.FOLDER / f"{name}.npz", evidence, name, stamp) for name in SOURCES}
    if (mine := found.pop(source)) is None:
        raise RecipeError(f"{source}: run `python -m trainer compare sources` first")
    folder = run / FOLDER / source
    folder.mkdir(parents=True, exist_ok=True)
    model, base, head = network_of(run, source)
    train = evidence.rows("train", without=source)
    rows = mine.rows[:most]

    kept = folder / "stamp.json"
    if not kept.exists() or json.loads(kept.read_text()) != [stamp, len(rows)]:
        ngram, facts = evidence.fit(train)
        ngram.save(folder / "ngram.npz")
        facts.save(folder / "facts.npz")
        site = rows[~is_judged(table["group"].to_numpy()[rows])]
        ngram_full, facts_full = evidence.fit(np.concatenate([train, site]))
        ngram_full.save(folder / "full-ngram.npz")
        facts_full.save(folder / "full-facts.npz")
        np.save(folder / "states.npy", replace(evidence, tokenizer=base.tokenizer).states(rows, ngram, model))
        with np.load(run / sources.FOLDER / f"{source}.npz", allow_pickle=False) as arrays:
            holdout = arrays["holdout"]
            home = {stage: arrays[f"home_{stage}"] for stage in ("ngram", "facts", "gpt")}
        spam, mail = evidence.spam[holdout], evidence.has_headers[holdout]
        units = units_of(home, spam, mail)
        origins = [Origin(holdout, Unseen("holdout", home, spam, mail, evidence.source[holdout], units))]
        origins += [Origin(other.rows, other.unseen) for other in found.values() if other is not None]
        allowed = set(table["group"]) - set(table["group"][evidence.source == source])
        picked = chosen(origins, table["group"].to_numpy())
        picked = picked[table["group"].isin(allowed).to_numpy()[picked]]
        states = replace(evidence, tokenizer=base.tokenizer).states(picked, ngram, model)
        save(
            folder / "replay.npz",
            replay_of(
                origins, picked, Inputs(evidence.counts[picked], evidence.matrix[picked], states),
                evidence.spam[picked], evidence.source[picked], ngram.idf,
            ),
        )  # fmt: skip
        parts = [origin.unseen for origin in origins]
        calibration = Calibration.fit(parts)
        thresholds = threshold_table([(calibration.probability(part), part.spam) for part in parts])
        (folder / "model.json").write_text(
            json.dumps({"ensemble": calibration.weights(units), "thresholds": thresholds})
        )
        kept.write_text(json.dumps([stamp, len(rows)]))
    about = json.loads((folder / "model.json").read_text())
    stages = Stages(NgramModel.load(folder / "ngram.npz"), FactsModel.load(folder / "facts.npz"), head)
    full = Stages(NgramModel.load(folder / "full-ngram.npz"), FactsModel.load(folder / "full-facts.npz"), head)
    site_table = table.iloc[rows].reset_index(drop=True)
    inputs = Inputs(evidence.counts[rows], evidence.matrix[rows], np.load(folder / "states.npy"))
    return World(
        source, site_table, inputs, Current(stages, about["ensemble"], about["thresholds"]),
        load(folder / "replay.npz"), full, lambda: matched(site_table, corpora_of([source], data, run)),
    )  # fmt: skip


def network_of(run: Path, source: str) -> tuple[Any, Any, Any]:
    """The network that never saw the source, the base whose tokenizer it reads with, and its head."""
    from trainer.base import base_of, load_base, load_classifier
    from trainer.warm import Head

    own = run / f"distil-without-{source}"
    base = load_base(own if own.is_dir() else base_of(run))
    model = load_classifier(run / f"leave-out-{source}")
    weight, bias = model.classifier.weight.detach().numpy(), model.classifier.bias.detach().numpy()
    return model, base, Head(weight[1] - weight[0], float(bias[1] - bias[0]))


def recalls(world: World, rows: np.ndarray, asked: np.ndarray) -> list[Any]:
    """What the memory of corrected `rows`, as the daemon keeps it, recalls of those asked (T): a Recall or None."""
    from spamfilter.classifier.memory import Exemplar, Memory
    from spamfilter.verdict import Label

    states = world.inputs.pooled.astype(np.float16)
    prints = world.fingerprints
    exemplars = [
        Exemplar(f"{row:064x}", Label.SPAM if world.spam[row] else Label.HAM, float(time), prints[row], states[row])
        for time, row in enumerate(rows.tolist())
    ]
    memory = Memory("site", exemplars)
    return [memory.look(prints[row], states[row]) for row in asked.tolist()]


def remembered(said: np.ndarray, recalled: Sequence[Any], thresholds: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Logits (T,) as the memory moves them, for the budgets of 0.5 and 10 % of a table of thresholds."""
    from spamfilter.classifier.cascade import logit
    from spamfilter.classifier.memory import moved

    at = {row["false_positive_rate"]: row["probability"] for row in thresholds}
    turns = [logit(at[rate]) for rate in (0.005, 0.1) if rate in at]
    return np.array(
        [
            value if recall is None else moved(value, recall, turns)
            for value, recall in zip(said.tolist(), recalled, strict=True)
        ]
    )


def everybody(world: World, rows: np.ndarray, settings: Any, sampled: Any = None) -> dict[str, np.ndarray]:
    """The judged messages' scores (T,) by everybody who learns from the same corrections; with `sampled` inputs, also
    by a retraining that has these besides."""
    from trainer.evaluation.baselines import NaiveBayes
    from trainer.evaluation.bogofilter import Bogofilter, absence
    from trainer.recipes.retrain import retrain

    asked, spam = world.judged, world.spam[rows]
    before = world.logits(world.current.stages, world.current.ensemble, asked)
    made = retrain(world.current, world.corrections(rows), world.replay, settings=settings)
    after = world.logits(made.stages, made.ensemble, asked)
    known = recalls(world, rows, asked)
    found = {
        MEMORY: remembered(before, known, world.current.thresholds),
        RETRAIN: after,
        OURS: remembered(after, known, made.thresholds),
    }
    if sampled is not None:
        taught = retrain(world.current, world.corrections(rows), world.replay, sampled, settings=settings)
        found[SAMPLED] = world.logits(taught.stages, taught.ensemble, asked)
    if absence() is None:
        with Bogofilter() as program:
            program.fit([world.raws[row] for row in rows], spam)
            found["bogofilter"] = program.score([world.raws[row] for row in asked])
    bayes = NaiveBayes()
    bayes.fit([world.texts[row] for row in rows], spam)
    found["naive Bayes, words"] = bayes.score([world.texts[row] for row in asked])
    return found


def fully_trained(world: World) -> np.ndarray:
    """The judged messages' logits (T,) by stages fitted on everything else, as if the site had always been there."""
    from trainer.recipes.retrain import Retrain, retrain
    from trainer.warm import Stages

    made = retrain(world.current, world.corrections(world.stream), world.replay, settings=Retrain(bands=False))
    stages = Stages(world.full.ngram, world.full.facts, made.stages.head)
    return world.logits(stages, world.current.ensemble, world.judged)


def spread(values_: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of the mean (Student's t) over seeds."""
    from scipy.stats import t

    found = np.array(values_)
    mean = float(found.mean())
    if len(found) < 2:
        return mean, mean, mean
    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    return mean, mean - half, mean + half


def measured(
    world: World, counts: Sequence[int], seeds: int, settings: Any, told: Callable[[str], object], unlabelled: int = 0
) -> Any:
    """A table of the site: a row for everybody at each count, means and intervals over seeds."""
    from trainer.evaluation.comparison import Comparison
    from trainer.evaluation.metrics import summary

    asked = world.judged
    spam = world.spam[asked]
    table = Comparison(f"feedback: {world.source}, never seen before", COLUMNS, "who learns")
    first = summary(spam, world.logits(world.current.stages, world.current.ensemble, asked))
    last = summary(spam, fully_trained(world))
    table.add(BEFORE, first, corrections=0)
    for count in counts:
        if count > len(world.stream):
            continue
        rows: dict[str, list[dict[str, float]]] = {}
        for seed in range(seeds):
            corrected = world.corrected(count, seed)
            sampled = world.sampled(unlabelled, seed, corrected)
            for name, score in everybody(world, corrected, settings, sampled).items():
                rows.setdefault(name, []).append(summary(spam, score))
            told(f"{world.source}: {count} corrections, seed {seed}")
        means, spans = {}, {}
        for name, found in rows.items():
            means[name] = {**first} | {key: spread([one[key] for one in found])[0] for key in COLUMNS}
            spans[name] = {key: spread([one[key] for one in found])[1:] for key in COLUMNS}
        rivals = [means[name] for name in means if name not in (MEMORY, RETRAIN, OURS, SAMPLED)]
        for name in means:
            wanted = {key: max(one[key] for one in rivals) for key in COLUMNS} if name == OURS else {}
            if name == OURS and count == WITHIN_REACH:
                wanted["recall_at_0.5"] = max(wanted["recall_at_0.5"], 0.95 * last["recall_at_0.5"])
            table.add(name, means[name], intervals=spans[name], wanted=wanted, corrections=count)
    table.add(FULL, last, corrections="all")
    return table


@click.command()
@data_option
@run_option
@set_option
@source_option
@click.option("--seeds", default=5, show_default=True, help="Draws of the corrections.")
@click.option("--count", "counts", multiple=True, type=int, default=COUNTS, show_default=True, help="Corrections.")
@click.option("--unlabelled", default=0, show_default=True, help="For one retraining more: mail that nobody labels.")
def command(
    data_dir: Path | None, run: Path, overrides: tuple[str, ...], names: tuple[str, ...], seeds: int,
    counts: tuple[int, ...], unlabelled: int,
) -> None:  # fmt: skip
    """How fast a site's mail is learnt from corrections, beside bogofilter and naive Bayes."""
    from trainer.experiments.trials import publish
    from trainer.recipes.retrain import Retrain
    from trainer.run import load_recipe

    settings = load_recipe(Retrain, "retrain", {"bands": False, **values(overrides)})
    worlds = worlds_of(names or SOURCES, run, data_dir)
    tables = [
        measured(world, counts, seeds, settings, lambda line: click.echo(line, err=True), unlabelled)
        for world in worlds
    ]
    publish(run / FOLDER, "Feedback", tables, [
        "Half of the site's near-duplicate groups are judged; corrections are drawn from the other half.",
        f"Means over {seeds} draws; intervals (JSON): 95 %, Student's t.",
        "Fully trained: stages fitted on everything but the judged half.",
    ])  # fmt: skip


def worlds_of(names: Sequence[str], run: Path, data_dir: Path | None) -> Iterator[World]:
    """The named sites, one after another; the corpora are counted once."""
    from trainer.base import load_base
    from trainer.data.corpora import data_dir as find
    from trainer.data.prepared import table_of
    from trainer.evidence import Evidence

    evidence = Evidence.of(table_of(data_dir, run), load_base(run / "pretrain").tokenizer)
    for name in names:
        yield world_of(name, run, find(data_dir), evidence)
