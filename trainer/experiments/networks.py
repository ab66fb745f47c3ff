"""`compare networks`: how much of the network is to learn from corrections: its head, its last block, or adapters?

The worlds are those of `compare feedback`: a source that the model never saw, half of it judged, corrections from the
other half. Everybody gets the same corrections and rehearses the same messages of the run; the bundle's own replay
stands beside them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from trainer.commands.options import data_option, run_option, set_option, values
from trainer.experiments.feedback import World, network_of, spread, worlds_of
from trainer.experiments.sources import SOURCES, source_option
from trainer.recipes.retrain import NETWORKS

FOLDER = Path("experiments") / "networks"
COLUMNS = ("recall_at_0.5", "roc_auc")
BEFORE, BUNDLE = "before", "head, the bundle's replay"


class _Site:
    """A world with its network and the run's rehearsal, on which every network is tried."""

    def __init__(self, world: World, run: Path, table: Any) -> None:
        from trainer.data.prepared import render_columns
        from trainer.recipes.probe import pooled_states
        from trainer.rehearsal import rehearsal_of, windows_of

        self.world = world
        self._model, base, _ = network_of(run, world.source)
        self._tokenizer = base.tokenizer

        def windows(heads: Sequence[str], tails: Sequence[str]) -> list[np.ndarray]:
            return windows_of(heads, tails, world.current.stages.ngram, base.tokenizer, base.config.context)

        def states(heads: Sequence[str], tails: Sequence[str]) -> np.ndarray:
            return pooled_states(self._model, windows(heads, tails), base.tokenizer.end, precision="auto")

        self._rehearsal = rehearsal_of(run, table, world.replay, states, left_out=world.source)
        self._windows = windows(*render_columns(world.table))
        self._rehearsed = windows(*render_columns(self._rehearsal.table))

    def scores(self, rows: np.ndarray, settings: Any) -> np.ndarray:
        """The judged messages' logits (T,) after the corrections of `rows`, by the settings' network."""
        from trainer.job import Progress
        from trainer.recipes.relearn import lesson_of, relearn
        from trainer.recipes.retrain import retrain
        from trainer.rehearsal import states_of

        world, asked = self.world, self.world.judged
        corrections, replay = world.corrections(rows), self._rehearsal.replay
        if settings.network == "head":
            made = retrain(world.current, corrections, replay, settings=settings)
            return world.logits(made.stages, made.ensemble, asked)
        lesson = lesson_of(
            world.current, corrections, world.table.iloc[rows], [self._windows[row] for row in rows], self._rehearsal,
            self._rehearsed, settings,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            graph, silent = Path(folder) / "network.onnx", Progress(lambda told: None)
            relearnt, _ = relearn(self._model, self._tokenizer, lesson, settings, silent, graph)
            made = retrain(world.current, corrections, replay, settings=settings, relearnt=relearnt)
            pooled = world.inputs.pooled.copy()
            pooled[asked] = states_of(graph, [self._windows[row] for row in asked], silent)
        moved = replace(world, inputs=replace(world.inputs, pooled=pooled))
        return moved.logits(made.stages, made.ensemble, asked)


def measured(
    site: _Site, networks: Sequence[str], count: int, seeds: int, settings: Any, told: Callable[[str], object]
) -> Any:
    """A table of the site: a row for each network, means and intervals over seeds, seconds of a retraining."""
    from trainer.evaluation.comparison import Comparison
    from trainer.evaluation.metrics import summary
    from trainer.recipes.retrain import retrain

    world = site.world
    asked, now = world.judged, world.current
    spam = world.spam[asked]
    table = Comparison(f"networks: {world.source}, never seen before, {count} corrections", COLUMNS, "what learns")
    first = summary(spam, world.logits(now.stages, now.ensemble, asked))
    table.add(BEFORE, first, seconds=0)
    found: dict[str, list[dict[str, float]]] = {}
    took: dict[str, list[float]] = {}
    for seed in range(seeds):
        rows = world.corrected(count, seed)
        for name in (BUNDLE, *networks):
            began = time.monotonic()
            if name == BUNDLE:
                made = retrain(now, world.corrections(rows), world.replay, settings=settings)
                scores = world.logits(made.stages, made.ensemble, asked)
            else:
                scores = site.scores(rows, replace(settings, network=name, seed=seed))
            took.setdefault(name, []).append(time.monotonic() - began)
            found.setdefault(name, []).append(summary(spam, scores))
            told(f"{world.source}, seed {seed}: {name}, {took[name][-1]:.0f} s, {found[name][-1]['recall_at_0.5']:.4f}")
    for name, rows_ in found.items():
        means = {**first} | {key: spread([one[key] for one in rows_])[0] for key in COLUMNS}
        spans = {key: spread([one[key] for one in rows_])[1:] for key in COLUMNS}
        table.add(name, means, intervals=spans, seconds=round(float(np.mean(took[name]))))
    return table


@click.command()
@data_option
@run_option
@set_option
@source_option
@click.option(
    "--network",
    "networks",
    multiple=True,
    type=click.Choice(NETWORKS),
    default=NETWORKS,
    help="Only these (repeatable).",
)
@click.option("--seeds", default=3, show_default=True, help="Draws of the corrections.")
@click.option("--count", default=200, show_default=True, help="Corrections.")
def command(
    data_dir: Path | None,
    run: Path,
    overrides: tuple[str, ...],
    names: tuple[str, ...],
    networks: tuple[str, ...],
    seeds: int,
    count: int,
) -> None:
    """How much of the network is to learn from corrections: head, last block, or adapters."""
    from trainer.data.prepared import table_of
    from trainer.experiments.trials import publish
    from trainer.recipes.retrain import Retrain
    from trainer.run import load_recipe

    settings = load_recipe(Retrain, "retrain", {"bands": False, **values(overrides)})
    table = table_of(data_dir, run)
    tables = [
        measured(_Site(world, run, table), networks, count, seeds, settings, lambda line: click.echo(line, err=True))
        for world in worlds_of(names or SOURCES, run, data_dir)
    ]
    publish(run / FOLDER, "Networks", tables, [
        "Half of the site's near-duplicate groups are judged; corrections are drawn from the other half.",
        f"Means over {seeds} draws; intervals (JSON): 95 %, Student's t. Seconds include reading the states again.",
    ])  # fmt: skip
