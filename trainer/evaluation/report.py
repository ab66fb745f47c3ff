"""One page that says how good a filter is, and can be mailed: HTML with its pictures inside, and the figures as JSON.

Nothing on the page comes from elsewhere: no script, no font, no link that loads. Subjects of spam are hostile text, so
the template escapes everything (Jinja2's autoescape).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from trainer.evaluation.breakdown import Mistakes
from trainer.evaluation.canvas import png
from trainer.evaluation.comparison import Comparison, plain

PAGE = "report.html"
FIGURES_FILE = "figures.json"


@dataclass(frozen=True)
class Picture:
    """A figure with the name of its file, what it shows for those who cannot see it, and how to read it."""

    name: str
    figure: Figure
    alt: str
    caption: str = ""

    @cached_property
    def png(self) -> bytes:
        """The picture's bytes."""
        return png(self.figure)

    @property
    def source(self) -> str:
        """A data URL, so that the page needs nothing beside it."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything on the page, in its order. `settings` are shown as they are, `notes` say what is missing and why."""

    title: str
    measured: str
    headline: Comparison
    sources: Comparison
    pictures: Sequence[Picture]
    mistakes: Mistakes
    settings: Mapping[str, Any]
    command: str
    notes: Sequence[str] = field(default_factory=tuple)


def render(report: Report) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("trainer.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(PAGE).render(report=report)


def figures_of(report: Report) -> dict[str, Any]:
    """What `figures.json` holds: the tables, the mistakes and the settings in plain values."""
    found: dict[str, Any] = plain(
        {
            "title": report.title,
            "measured": report.measured,
            "settings": report.settings,
            "command": report.command,
            "notes": report.notes,
            "headline": report.headline.as_json(),
            "sources": report.sources.as_json(),
            "mistakes": asdict(report.mistakes),
        }
    )
    return found


def write(report: Report, folder: Path) -> Path:
    """Write the page, `figures.json` and each picture as a PNG into a folder; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in report.pictures:
        (folder / f"{picture.name}.png").write_bytes(picture.png)
    text = json.dumps(figures_of(report), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FIGURES_FILE).write_text(text + "\n", "utf-8", errors="replace")  # subjects may hold half a pair
    page = folder / PAGE
    page.write_text(render(report), "utf-8", errors="replace")
    return page
