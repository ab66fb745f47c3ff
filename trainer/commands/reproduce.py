"""`reproduce`: the reference workflow from start to end, claim beside result."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.options import data_option, recipe_option, run_option, set_option, values


@click.command()
@data_option
@run_option
@recipe_option("reference")
@set_option
@click.option("--gpt2", help="Public GPT-2 weights instead of the run's base: a folder, a file, or a hub id.")
@click.option("--ours/--no-ours", default=True, show_default=True, help="Our settings on the same splits, too.")
@click.option("--quick", is_flag=True, help="One seed and a short pretraining: under two minutes.")
def command(
    data_dir: Path | None,
    run: Path,
    recipe: str,
    overrides: tuple[str, ...],
    gpt2: str | None,
    ours: bool,
    quick: bool,
) -> None:
    """Run the reference workflow from start to end and print claim beside result."""
    from rich.console import Console

    from trainer.base import load_gpt2
    from trainer.data.corpora import data_dir as find
    from trainer.experiments import reference
    from trainer.experiments.collection import SEEDS, Reading, ranks_of, sms_table, teacher_cache, unread_base
    from trainer.experiments.sms import COMMITTEE, DOMAIN, Bench
    from trainer.recipes.finetune import Finetune
    from trainer.run import load_recipe

    data, console = find(data_dir), Console()
    settings = load_recipe(Finetune, recipe, values(overrides))
    bpe = data / "gpt2-bpe"
    base = load_gpt2(gpt2, bpe if bpe.is_dir() else None) if gpt2 else unread_base(run)
    reading = Reading.of(sms_table(data, run / "experiments" / "sms.jsonl"))
    name = "gpt2" if gpt2 else "own"
    folder = run / "experiments" / "reproduce" / (f"{name}-quick" if quick else name)
    seeds = SEEDS[:1] if quick else SEEDS
    console.rule("pretraining on The Verdict")
    tokens = 100_000 if quick else 300_000
    story = reference.write_story(reading, data, folder / "the-verdict", tokens=tokens, threads=settings.threads)
    console.print(f"before: {story.before}\nafter: {story.after}", markup=False, highlight=False)
    console.rule("fine-tuning by the reference's settings")
    found = [reference.tuned(reading, base, settings, seed, folder) for seed in seeds]
    mine = {}
    if ours and not gpt2:
        console.rule("our settings on the same splits")
        kept = folder / "ours" if quick else run / "experiments" / "sms"
        cache = None if quick else teacher_cache(run)
        bench = Bench(base, ranks_of(run), kept, load_recipe(Finetune, "sms"), DOMAIN, cache, 1 if quick else COMMITTEE)
        mine = reference.own(reading, bench, seeds)
    shown = {key: getattr(settings, key) for key in ("strategy", "pooling", "epochs", "batch", "learning_rate",
                                                     "weight_decay")}  # fmt: skip
    line = "python -m trainer reproduce" + (f" --gpt2 {gpt2}" if gpt2 else "") + (" --quick" if quick else "")
    page, headline = reference.report(
        reading, story, found, mine, folder, settings=shown | {"seeds": ", ".join(map(str, seeds))}, command=line,
        base_name=f"GPT-2 ({gpt2})" if gpt2 else "our own, pretrained on mail and English, never on SMS",
    )  # fmt: skip
    Console(width=None if console.is_terminal else 170).print(headline.table(with_intervals=True))
    click.echo(f"{page}, its pictures, figures.json and claim.json written")
