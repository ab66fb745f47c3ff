"""One tiny bundle for all tests of the classifier; tests that damage it copy it first."""

from __future__ import annotations

from pathlib import Path

import pytest

from spamfilter.classifier.bundle import Bundle

torch = pytest.importorskip("torch", reason="needs the trainer: pip install '.[train]'")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, object]:
    from tests.trainer.tiny import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture
def bundle_copy(tiny: tuple[Bundle, object], tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(tiny[0].path, tmp_path / "bundle"))
