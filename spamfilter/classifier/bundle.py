"""A bundle: the folder that holds one immutable, servable model, and everything needed to trust it.

`manifest.json` names every file with its size and sha256, the extraction that the model was trained with, how the
stages are put together, the table of thresholds, and what was measured. Nothing in a bundle is executed: JSON, plain
arrays, an ONNX graph. A bundle that does not match is refused, and the one that serves goes on serving.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spamfilter.document import EXTRACTION
from spamfilter.verdict import Thresholds

FORMAT = 2
MANIFEST = "manifest.json"


class BundleError(Exception):
    """Why a bundle cannot serve; made to be shown as it is."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its manifest has been read and its versions accepted; hashes are checked by `verify`."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def model_id(self) -> str:
        """Name and content hash, for headers and the decision log."""
        return str(self.manifest["model_id"])

    def file(self, name: str) -> Path:
        """The path of one of the bundle's files. Raises BundleError when the manifest does not list it."""
        if name not in self.manifest["files"]:
            raise BundleError(f"{self.path}: the manifest lists no {name}")
        return self.path / name

    def verify(self) -> None:
        """Compare every file with the manifest's sha256 and size. Raises BundleError naming the first bad file."""
        for name, expected in self.manifest["files"].items():
            path = self.path / name
            try:
                data = path.read_bytes()
            except OSError as error:
                raise BundleError(f"{path}: {error.strerror or error}; install the bundle again") from None
            if len(data) != expected["size"] or hashlib.sha256(data).hexdigest() != expected["sha256"]:
                raise BundleError(f"{path}: does not match the manifest's sha256; install the bundle again")

    def thresholds(
        self, *, max_false_positive_rate: float, max_unsure_rate: float, spam_at: float | None = None,
        unsure_at: float | None = None,
    ) -> Thresholds:  # fmt: skip
        """The operating point for a ham-loss budget, from the bundle's own table, where no numbers are set.

        Spam: at most `max_false_positive_rate` of held-out ham lies at or above it. Unsure: at most `max_unsure_rate`.
        A budget finer than the held-out ham could show gets the strictest threshold of the table. A lone `spam_at`
        below the table's `unsure_at` takes that down with it; an `unsure_at` that is set stays where it is.
        """
        table = sorted(self.manifest["thresholds"], key=lambda row: float(row["false_positive_rate"]))

        def at(rate: float) -> float:
            fitting = [row for row in table if float(row["false_positive_rate"]) <= rate + 1e-12]
            return float((fitting[-1] if fitting else table[0])["probability"])

        spam = at(max_false_positive_rate) if spam_at is None else spam_at
        return Thresholds(unsure_at=min(at(max_unsure_rate), spam) if unsure_at is None else unsure_at, spam_at=spam)


def open_bundle(path: Path) -> Bundle:
    """Read a bundle's manifest and check its versions. Raises BundleError."""
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path}: no bundle there ({MANIFEST} is missing)") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path / MANIFEST}: cannot be read: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise BundleError(f"{path}: bundle format {found!r}; this version of spamfilter reads format {FORMAT}")
    missing = [key for key in ("model_id", "files", "extraction", "ensemble", "thresholds") if key not in manifest]
    if missing:
        raise BundleError(f"{path / MANIFEST}: {', '.join(missing)} missing")
    if any("/" in name or name.startswith(".") for name in manifest["files"]):
        raise BundleError(f"{path / MANIFEST}: files must lie in the bundle's own folder")
    if manifest["extraction"] != EXTRACTION:
        raise BundleError(
            f"{path}: trained on extraction {manifest['extraction']}, this version extracts {EXTRACTION}; "
            "export it again with this version's trainer"
        )
    return Bundle(path, manifest)


def write_manifest(path: Path, name: str, content: Mapping[str, Any]) -> Bundle:
    """Hash every file in the folder `path`, name the model after them, write the manifest, and open the result."""
    files: dict[str, dict[str, Any]] = {}
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()):
        if file.name != MANIFEST and file.is_file():
            data = file.read_bytes()
            files[file.name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            digest.update(hashlib.sha256(data).digest())
    digest.update(json.dumps(content, sort_keys=True).encode())
    manifest = {"format": FORMAT, "model_id": f"{name}-{digest.hexdigest()[:8]}", "extraction": EXTRACTION}
    manifest |= {**content, "files": files}
    (path / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return open_bundle(path)


def default_bundle() -> Path:
    """The folder of the bundle that ships with the package."""
    return Path(__file__).resolve().parent.parent / "models" / "default"
