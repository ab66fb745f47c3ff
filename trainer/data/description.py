"""What is in a table, for people: counts, near-duplicates, lengths, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainer.data.prepared import fingerprint_of

PARTS = ("train", "holdout", "test", "dropped")


def describe(table: pd.DataFrame) -> dict[str, Any]:
    """Counts by source, part and label; text lengths in characters; near-duplicate groups; ready for JSON."""
    return {
        "fingerprint": fingerprint_of(table),
        "messages": len(table),
        "spam": int(table["spam"].sum()),
        "sources": {str(name): _of_source(part) for name, part in table.groupby("source")},
        "groups": _of_groups(table),
    }


def _of_source(table: pd.DataFrame) -> dict[str, Any]:
    lengths = table["text"].str.len() + table["tail"].str.len()
    counts = table.groupby(["part", "spam"]).size()
    return {
        "parts": {
            part: {"ham": int(counts.get((part, 0), 0)), "spam": int(counts.get((part, 1), 0))}
            for part in PARTS
            if part in counts.index.get_level_values("part")
        },
        "characters": {
            "median": int(lengths.median()),
            "90 %": int(lengths.quantile(0.9)),
            "most": int(lengths.max()),
        },
        "with_headers": round(float(table["known"].map(lambda known: "header" in known).mean()), 4),
    }


def _of_groups(table: pd.DataFrame) -> dict[str, int]:
    by_group = table.groupby("group")
    grouped = by_group.agg(size=("group", "size"), sources=("source", "nunique"), labels=("spam", "nunique"))
    several = grouped["size"] > 1
    return {
        "groups": len(grouped),
        "of_several": int(several.sum()),
        "messages_in_them": int(grouped.loc[several, "size"].sum()),
        "largest": int(grouped["size"].max()),
        "across_sources": int((grouped["sources"] > 1).sum()),
        "with_both_labels": int((grouped["labels"] > 1).sum()),
    }


def rendered(description: dict[str, Any]) -> RenderableType:
    """The description as tables."""
    counts = Table(box=None, pad_edge=False)
    for title in ("source", "part", "ham", "spam"):
        counts.add_column(title, justify="right" if title in ("ham", "spam") else "left")
    texts = Table(box=None, pad_edge=False)
    for title in ("source", "median", "90 %", "most", "headers"):
        texts.add_column(title, justify="left" if title == "source" else "right")
    for name, source in description["sources"].items():
        for i, (part, of) in enumerate(source["parts"].items()):
            counts.add_row("" if i else name, part, f"{of['ham']:,}", f"{of['spam']:,}")
        texts.add_row(name, *(f"{n:,}" for n in source["characters"].values()), f"{100 * source['with_headers']:.0f} %")
    groups = description["groups"]
    return Group(
        counts,
        Text(f"\n{description['messages']:,} messages, {description['spam']:,} spam"),
        Text(f"fingerprint of the data: {description['fingerprint']}"),
        Text(
            f"{groups['groups']:,} near-duplicate groups; {groups['of_several']:,} of several messages hold "
            f"{groups['messages_in_them']:,}; the largest {groups['largest']:,}; {groups['across_sources']:,} across "
            f"sources, {groups['with_both_labels']:,} with both labels"
        ),
        Text("\ncharacters of text, and how many messages have headers"),
        texts,
    )


def plot(table: pd.DataFrame, file: Path) -> None:
    """Messages by source and label, text lengths, and sizes of groups, as one picture (PNG, SVG or PDF by name)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    by_source, lengths, sizes = figure.subplots(1, 3)
    counts = table.groupby(["source", "spam"]).size().unstack(fill_value=0).reindex(columns=[0, 1], fill_value=0)
    names = [str(name) for name in counts.index]
    by_source.barh(names, counts[0], label="ham", color="tab:blue")
    by_source.barh(names, counts[1], left=counts[0], label="spam", color="tab:red")
    by_source.set(xlabel="messages", title="by source")
    by_source.legend()
    bins = [10 ** (i / 8) for i in range(34)]
    for spam, name, colour in ((0, "ham", "tab:blue"), (1, "spam", "tab:red")):
        values = table.loc[table["spam"] == spam, "text"].str.len().clip(lower=1)
        lengths.hist(values, bins=bins, histtype="step", label=name, color=colour)
    lengths.set(xscale="log", xlabel="characters of text", ylabel="messages", title="lengths")
    spread = table.groupby("group").size().value_counts().sort_index()
    sizes.loglog(spread.index, spread.to_numpy(), ".", color="tab:green")
    sizes.set(xlabel="messages in a group", ylabel="groups", title="near-duplicate groups")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
