"""A run's folder: frozen settings, where they came from, `metrics.jsonl`, curves, and checkpoints to go on from."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml

from spamfilter import __version__
from spamfilter.document import EXTRACTION
from trainer.errors import RecipeError
from trainer.evaluation.provenance import code_version

R = TypeVar("R")


def load_recipe(kind: type[R], name: str, overrides: Mapping[str, Any] | None = None) -> R:
    """Recipe settings: the shipped YAML `name` (or a path), then overrides. Unknown keys name the nearest one.

    A whole number stands for a fraction where one is wanted (`epochs: 1`); other types are refused. Raises RecipeError.
    """
    return _settings(kind, name, _read(name), overrides or {})


def _settings(kind: type[R], name: str, shipped: Mapping[str, Any], overrides: Mapping[str, Any]) -> R:
    values = {**shipped, **{key: value for key, value in overrides.items() if "." not in key}}
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    below: dict[str, dict[str, Any]] = {}
    for key in (key for key in overrides if "." in key):  # augment.leet=0.1
        section, _, rest = key.partition(".")
        below.setdefault(section, {})[rest] = overrides[key]
        values.setdefault(section, {})
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            raise RecipeError(f"{name}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        default = fields[key].default
        wanted = type(default if default is not dataclasses.MISSING else value)
        if dataclasses.is_dataclass(wanted):
            if not isinstance(value, dict):
                raise RecipeError(f"{name}: {key}: expected keys below it, found {value!r}")
            values[key] = _settings(wanted, f"{name}: {key}", value, below.pop(key, {}))
        elif wanted is float and isinstance(value, int) and not isinstance(value, bool):
            values[key] = float(value)
        elif wanted is tuple and isinstance(value, list | str):
            values[key] = tuple(value.split(",")) if isinstance(value, str) and value else tuple(value)
        elif type(value) is not wanted or key in below:
            raise RecipeError(f"{name}: {key}: expected {wanted.__name__}, found {value!r}")
    try:
        return kind(**values)
    except ValueError as error:
        raise RecipeError(f"{name}: {error}") from None


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    try:
        if path.suffix:
            text = path.read_text("utf-8")
        else:
            text = resources.files("trainer.recipes").joinpath(f"{name}.yaml").read_text("utf-8")
        values = yaml.safe_load(text) or {}
    except FileNotFoundError:
        shipped = sorted(p.name.removesuffix(".yaml") for p in resources.files("trainer.recipes").iterdir()
                         if p.name.endswith(".yaml"))  # fmt: skip
        raise RecipeError(f"no recipe {name!r}: give a YAML file, or one of {', '.join(shipped)}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{name}: expected `key: value` lines")
    return values


@dataclass(slots=True)
class Run:
    """The folder of one run."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, settings: Any, *, data: str = "") -> Run:
        """Create the folder, or open it to go on. `data` is the data's fingerprint.

        Raises RecipeError when the folder was made with other settings or other data.
        """
        folder.mkdir(parents=True, exist_ok=True)
        frozen = json.dumps(dataclasses.asdict(settings), indent=1, sort_keys=True)
        file, origin = folder / "settings.json", folder / "origin.json"
        if file.exists() and file.read_text() != frozen:
            changed = _changed(json.loads(file.read_text()), json.loads(frozen))
            raise RecipeError(
                f"{folder} holds a run with other settings ({changed}): choose another --run folder, or remove it"
            )
        if origin.exists() and data and (before := json.loads(origin.read_text())["data"]) not in ("", data):
            raise RecipeError(
                f"{folder} holds a run on other data (fingerprint {before}, now {data}): "
                "choose another --run folder, or remove it"
            )
        file.write_text(frozen)
        if not origin.exists():
            origin.write_text(json.dumps({"data": data, **_origin()}, indent=1))
        return cls(folder)

    def log(self, **values: float | int | str) -> None:
        """One line of metrics."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"time": round(time.time(), 1), **values}) + "\n")

    def save(self, state: dict[str, Any], name: str = "checkpoint.pt") -> None:
        """Write a checkpoint so that a crash leaves the old one or the new one, never half."""
        temporary = self.folder / f".{name}.new"
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / name)

    def load(self, name: str = "checkpoint.pt") -> dict[str, Any] | None:
        """The last checkpoint, or None. Tensors and plain values only: nothing in it is executed.

        Raises RecipeError when the file is damaged.
        """
        path = self.folder / name
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever the reader of a damaged file raises
            raise RecipeError(f"{path}: cannot be read ({type(error).__name__}): remove it to start again") from None
        return state


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return ", ".join(f"{key}: {before.get(key)!r}, now {after.get(key)!r}" for key in keys[:4])


def _origin() -> dict[str, str]:
    return {
        "spamfilter": __version__,
        "code": code_version(),
        "extraction": EXTRACTION,
        "torch": torch.__version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
