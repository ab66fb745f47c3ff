"""A bundle: the folder that holds one immutable, servable model. (Interface; being filled in.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spamfilter.verdict import Thresholds


class BundleError(Exception):
    """Why a bundle cannot serve; made to be shown as it is."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its manifest has been read and the format version accepted; hashes are not yet checked."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def model_id(self) -> str:
        """Name and content hash, for headers and the decision log."""
        return str(self.manifest["model_id"])

    def verify(self) -> None:
        """Compare every file with the manifest's sha256 and size. Raises BundleError naming the first bad file."""
        raise NotImplementedError

    def thresholds(self, *, max_false_positive_rate: float, max_unsure_rate: float) -> Thresholds:
        """The operating point for a ham-loss budget, from the bundle's own table."""
        raise NotImplementedError


def open_bundle(path: Path) -> Bundle:
    """Read a bundle's manifest. Raises BundleError."""
    raise NotImplementedError


def default_bundle() -> Path:
    """The folder of the bundle that ships with the package."""
    raise NotImplementedError
