"""The project's one test command: `python -m tests [PYTEST ARGUMENTS]` runs lint, format, types, then the tests.

Every stage runs even when an earlier one failed. The exit code is that of the first stage that failed; pytest comes
last, so that its closing line closes the output.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAILED_STAGES = "SPAMFILTER_FAILED_STAGES"  # read by conftest.py, so that pytest's last lines cannot look all green
NEEDED = ("hypothesis", "mypy", "psutil", "pytest", "pytest_asyncio", "pytest_randomly", "pytest_timeout", "ruff")
CHECKS: dict[str, tuple[str, ...]] = {
    "ruff check": ("ruff", "check", "--no-fix", "--output-format=concise", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "mypy": ("mypy",),
}


def main(pytest_arguments: Sequence[str]) -> int:
    """Run every stage; 0 when all passed, else the exit code of the first that failed."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        print(
            f"{sys.executable} lacks {', '.join(absent)}, which the tests need. Install them with\n"
            f"  {sys.executable} -m pip install -c constraints.txt -e '.[dev]'",
            file=sys.stderr,
        )
        return 2
    results = {name: _run(name, command) for name, command in CHECKS.items()}
    failed = ", ".join(name for name, code in results.items() if code)
    results["pytest"] = _run("pytest", ("pytest", *pytest_arguments), {FAILED_STAGES: failed})
    return next((code for code in results.values() if code), 0)


def _run(name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> int:
    print(f"--- {name}", flush=True)
    code = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, **(environment or {})}, check=False
    ).returncode
    return code if code >= 0 else 128 - code  # killed by a signal: as a shell would say it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
