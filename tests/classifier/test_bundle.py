"""A bundle is trusted only as a whole: versions, hashes, table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, open_bundle
from spamfilter.document import EXTRACTION


def _rewrite(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def test_a_written_bundle_opens_and_verifies(tiny: tuple[Bundle, object]) -> None:
    bundle = open_bundle(tiny[0].path)
    bundle.verify()
    assert bundle.model_id.startswith("tiny-")
    assert bundle.manifest["extraction"] == EXTRACTION
    assert set(bundle.manifest["files"]) == {p.name for p in bundle.path.iterdir()} - {"manifest.json"}


def test_every_file_is_covered_by_a_hash(bundle_copy: Path) -> None:
    for path in sorted(bundle_copy.iterdir()):
        if path.name == "manifest.json":
            continue
        original = path.read_bytes()
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(BundleError, match=path.name):
            open_bundle(bundle_copy).verify()
        path.write_bytes(original)
    open_bundle(bundle_copy).verify()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 99}, "format 99"),
        ({"extraction": "0-0-0"}, "export it again"),
        ({"files": {"../../etc/passwd": {"size": 1, "sha256": ""}}}, "own folder"),
    ],
    ids=["format", "extraction", "path outside"],
)
def test_what_does_not_fit_is_refused(bundle_copy: Path, change: dict[str, object], says: str) -> None:
    _rewrite(bundle_copy, **change)
    with pytest.raises(BundleError, match=says):
        open_bundle(bundle_copy)


def test_missing_and_broken_manifests_say_so(tmp_path: Path, bundle_copy: Path) -> None:
    with pytest.raises(BundleError, match="no bundle there"):
        open_bundle(tmp_path / "nothing")
    (bundle_copy / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(bundle_copy)
    (bundle_copy / "manifest.json").write_text('{"format": 2}')
    with pytest.raises(BundleError, match="model_id"):
        open_bundle(bundle_copy)


@pytest.mark.parametrize(
    ("spam_budget", "unsure_budget", "spam_at", "unsure_at"),
    [
        (0.001, 0.01, 0.95, 0.6),
        (0.005, 0.05, 0.95, 0.6),
        (0.1, 0.1, 0.2, 0.2),
        (1e-6, 0.01, 0.95, 0.6),
        (0.01, 0.001, 0.6, 0.6),
    ],
)
def test_budgets_are_read_from_the_table(
    tiny: tuple[Bundle, object], spam_budget: float, unsure_budget: float, spam_at: float, unsure_at: float
) -> None:
    found = tiny[0].thresholds(max_false_positive_rate=spam_budget, max_unsure_rate=unsure_budget)
    assert (found.spam_at, found.unsure_at) == (spam_at, unsure_at)


def test_the_shipped_bundle_is_whole() -> None:
    bundle = open_bundle(default_bundle())
    bundle.verify()
    assert sum(f["size"] for f in bundle.manifest["files"].values()) < 25 * 1024 * 1024
    for row in ("ensemble", "GPT alone", "n-grams alone"):
        assert bundle.manifest["metrics"][f"SpamAssassin test: {row}"]["ham"] == 839


def test_no_file_of_the_shipped_bundle_names_the_machine_that_made_it() -> None:
    for path in default_bundle().iterdir():
        data = path.read_bytes()
        for trace in (b"Traceback", b"/trainer/export.py", b"site-packages", b"/home/", b'File "'):
            assert trace not in data, f"{path.name} holds {trace!r}"
