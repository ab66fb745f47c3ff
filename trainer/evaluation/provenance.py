"""What a figure hangs on besides its data: code and libraries, so that another can tell whether theirs should agree."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from spamfilter import __version__
from spamfilter.document import EXTRACTION

_LIBRARIES = ("numpy", "scikit-learn", "onnxruntime")


def provenance() -> dict[str, str]:
    """Versions of this code and of what computes, and when."""
    return {
        "code": f"spamfilter {__version__}" + (f", commit {commit}" if (commit := code_version()) else ""),
        "extraction": EXTRACTION,
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "measured at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def code_version() -> str:
    """The commit that this code stands at, `-dirty` when it was changed since; "" outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
