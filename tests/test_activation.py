"""What may serve here: whole bundles with an answer for the policy, where the registry decides."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spamfilter import config
from spamfilter.activation import checked, may_serve, registry
from spamfilter.bundles import Bundles
from spamfilter.classifier.bundle import MANIFEST, BundleError, default_bundle, open_bundle
from spamfilter.config import ConfigError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to be damaged."""
    return Path(shutil.copytree(default_bundle(), tmp_path / "bundle"))


def test_a_whole_bundle_has_an_answer_for_the_policy(tmp_path: Path, bundle: Path) -> None:
    found, policy = checked(config.load(environ={}, state_dir=str(tmp_path)), bundle)
    assert found.model_id == open_bundle(default_bundle()).model_id
    assert 0 < policy.thresholds.unsure_at <= policy.thresholds.spam_at < 1


def test_a_bundle_without_an_answer_may_not_serve(tmp_path: Path, bundle: Path) -> None:
    loaded = config.load(environ={}, state_dir=str(tmp_path), policy__unsure_at=0.9999)
    with pytest.raises(ConfigError, match=r"policy\.unsure_at"):
        may_serve(loaded)(bundle)


def test_a_damaged_table_is_an_error_for_people(tmp_path: Path, bundle: Path) -> None:
    manifest = (bundle / MANIFEST).read_text("utf-8")
    (bundle / MANIFEST).write_text(manifest.replace('"thresholds": [', '"thresholds": [{}, '))
    with pytest.raises(BundleError, match="table of thresholds cannot be read"):
        checked(config.load(environ={}, state_dir=str(tmp_path)), bundle)


def test_a_damaged_file_may_not_serve(tmp_path: Path, bundle: Path) -> None:
    (bundle / "ngram.npz").write_bytes(b"")
    with pytest.raises(BundleError, match=r"ngram\.npz"):
        may_serve(config.load(environ={}, state_dir=str(tmp_path)))(bundle)


def test_a_pinned_bundle_leaves_the_registry_no_say(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(ConfigError, match="serves whatever is activated"):
        registry(config.load(environ={}, state_dir=str(tmp_path), model__bundle=str(bundle)))
    assert isinstance(registry(config.load(environ={}, state_dir=str(tmp_path))), Bundles)
