"""The floors: a module imports only from floors below its own, and from its own package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import spamfilter

ROOT = Path(spamfilter.__file__).parent
_VALUES = (
    *("__init__", "message", "document", "charsets", "mime", "html_text", "normalise", "facts"),
    *("verdict", "policy", "header_block", "headers", "correction", "mbox", "config", "log", "state_dir"),
)
VALUES = 0
FLOORS: dict[str, int] = {
    **dict.fromkeys(_VALUES, VALUES),
    "classifier": 1,
    "bundles": 2,
    "operating_point": 2,
    "engine": 2,
    "store": 2,
    "scanner": 3,
    "activation": 3,
    "release": 3,
    "traits": 2,
    "learning": 3,
    "drift": 3,
    "model_report": 3,
    "retrainings": 3,
    "shadow": 3,
    "frontends": 4,
    "console": 4,
    "model_watch": 4,
    "teacher": 4,
    "shadow_watch": 4,
    "sampling": 4,
    "daemon": 5,
    "cli": 6,
    "__main__": 7,
}
"""Which floor each module or package of `spamfilter` stands on. Neighbours on a floor do not see each other, but for
the values. A new module needs its line here."""
FORBIDDEN = ("torch", "trainer", "pandas", "sklearn", "tokenizers", "matplotlib", "pickle", "tests")

MODULES = sorted(path for path in ROOT.rglob("*.py") if "models" not in path.relative_to(ROOT).parts)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _room(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def faults(where: str, source: str) -> list[str]:
    """What a module at `where`, a path below the package, may not import."""
    room = _room(Path(where).parts)
    if room not in FLOORS:
        return [f"{where}: {room} has no floor"]
    found: list[str] = []
    for line, name in _imports(ast.parse(source)):
        top, *rest = name.split(".")
        if top in FORBIDDEN:
            found.append(f"{where}:{line}: imports {name}")
        if top != "spamfilter" or not rest or rest[0] not in FLOORS or rest[0] == room:
            continue
        if FLOORS[rest[0]] > FLOORS[room] or (FLOORS[rest[0]] == FLOORS[room] != VALUES):
            found.append(f"{where}:{line}: {room} (floor {FLOORS[room]}) imports {rest[0]} (floor {FLOORS[rest[0]]})")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_keeps_to_its_floor_and_says_why_it_exists(path: Path) -> None:
    source = path.read_text("utf-8")
    assert faults(str(path.relative_to(ROOT)), source) == []
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring, "every module opens with a sentence that says why it exists"
    assert docstring.splitlines()[0].strip()


@pytest.mark.parametrize(
    ("where", "source", "fault"),
    [
        ("store/x.py", "from spamfilter.scanner import Scanner", "imports scanner"),
        ("store/x.py", "from spamfilter.engine import pool", "imports engine"),
        ("message.py", "import spamfilter.classifier.bundle", "imports classifier"),
        ("engine/x.py", "def f():\n    from spamfilter import daemon", "imports daemon"),
        ("cli/x.py", "import torch.nn", "imports torch"),
        ("cli/x.py", "from trainer.export import export", "imports trainer"),
        ("novelty.py", "", "has no floor"),
    ],
)
def test_the_walk_sees_what_is_forbidden(where: str, source: str, fault: str) -> None:
    found = faults(where, source)
    assert found
    assert fault in found[0]


def test_the_walk_lets_pass_what_is_allowed() -> None:
    assert faults("cli/x.py", "from spamfilter.daemon import Daemon\nfrom spamfilter.cli.scan import scan") == []
    assert faults("message.py", "from spamfilter.verdict import Label\nfrom spamfilter import __version__") == []
