"""Mail that nobody labelled: which samples a retraining reads, and that they keep it near the model before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spamfilter.classifier.bundle import default_bundle, open_bundle
from spamfilter.classifier.ensemble import Ensemble
from spamfilter.classifier.sampled import Sampled
from spamfilter.message import Message
from spamfilter.store.database import store_url
from spamfilter.store.decisions import DecisionStore
from spamfilter.store.samples import SampleStore
from spamfilter.store.seal import make_key
from tests.trainer import site
from trainer.errors import DataError
from trainer.inputs import Inputs
from trainer.inputs import inputs_of as inputs_of_documents
from trainer.job import Job
from trainer.rebundle import NETWORK, current_of
from trainer.recipes.retrain import Retrain, retrain
from trainer.unlabelled import as_sampled, models_alike, recent


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble(open_bundle(default_bundle()))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A retraining of the shipped bundle, where a decision log stands."""
    log = DecisionStore(store_url("", tmp_path))
    log.open()
    log.close()
    return Job(state_dir=tmp_path, folder=tmp_path / "job", bundle=default_bundle())


def sampled(ensemble: Ensemble, raw: bytes) -> Sampled:
    found = ensemble.sample(Message(raw, "test"))
    assert isinstance(found, Sampled)
    return found


def test_samples_come_back_as_the_stages_read_them(ensemble: Ensemble, job: Job) -> None:
    raws, _ = site.mails(6, 3)
    with SampleStore(store_url("", job.state_dir), keep=500, days=14) as store:
        for raw in raws:
            store.add(sampled(ensemble, raw))
    found = recent(job)
    assert found is not None and len(found) == 6 and found.mail.all()
    examined = [ensemble.examine(Message(raw, "test")) for raw in reversed(raws)]
    whole = inputs_of_documents([one.document for one in examined], np.stack([one.pooled for one in examined]))
    current = current_of(open_bundle(default_bundle()))
    wanted = as_sampled(whole, current.stages.ngram.idf)
    assert (found.counts.whole != wanted.counts.whole).nnz == 0 or np.allclose(
        found.counts.whole.toarray(), wanted.counts.whole.toarray(), atol=1e-5
    )
    np.testing.assert_array_equal(found.facts, wanted.facts)
    np.testing.assert_array_equal(found.pooled, wanted.pooled)
    assert not len(found.counts.passages.data)


def test_a_model_of_the_models_alike_counts_and_another_does_not(ensemble: Ensemble, job: Job) -> None:
    models = job.state_dir / "models"
    for name, network in (("retrained", None), ("other", {"sha256": "0" * 64, "size": 1})):
        shutil.copytree(default_bundle(), models / name)
        manifest = json.loads((models / name / "manifest.json").read_text())
        manifest["model_id"] = f"{name}-1"
        if network is not None:
            manifest["files"][NETWORK] = network
        (models / name / "manifest.json").write_text(json.dumps(manifest))
    (models / "broken").mkdir()
    assert models_alike(open_bundle(job.bundle), job.state_dir) == {ensemble.model_id, "retrained-1"}
    one = sampled(ensemble, site.mails(1, 3)[0][0])
    with SampleStore(store_url("", job.state_dir), keep=500, days=14) as store:
        for model_id in ("retrained-1", "other-1", "gone-1"):
            store.add(Sampled(model_id, 0.1, "en", 0.1, one.inputs))
    found = recent(job)
    assert found is not None and len(found) == 1


def test_damaged_and_sealed_ones_are_left_out(ensemble: Ensemble, job: Job) -> None:
    one = sampled(ensemble, site.mails(1, 3)[0][0])
    key = job.state_dir / "labels.key"
    url = store_url("", job.state_dir)
    with SampleStore(url, keep=500, days=14) as store:
        store.add(one)
        store.add(Sampled(one.model_id, 0.1, "en", 0.1, one.inputs[:-20]))
    with SampleStore(url, seal=make_key(key), keep=500, days=14) as sealed:
        sealed.add(one)
    without = recent(job)
    assert without is not None and len(without) == 1
    with_key = recent(Job(state_dir=job.state_dir, folder=job.folder, bundle=job.bundle, key=key))
    assert with_key is not None and len(with_key) == 2


def test_none_is_none_and_trouble_is_said(job: Job, tmp_path: Path) -> None:
    assert recent(job) is None
    with pytest.raises(DataError, match="there is no decision log yet"):
        recent(Job(state_dir=tmp_path / "elsewhere", folder=job.folder, bundle=job.bundle))


def test_a_retraining_with_them_moves_recent_mail_less(ensemble: Ensemble, job: Job) -> None:
    raws, spam = site.mails(60, 5)
    corrections = site.corrections(40)
    current = site.current()
    others = site.inputs(raws, spam, 5)
    read = as_sampled(others, current.stages.ngram.idf)

    def moved(unlabelled: Inputs | None) -> float:
        settings = Retrain(bands=False, unlabelled=20.0)
        made = retrain(current, corrections, site.replay(), unlabelled, settings=settings)
        before, after = (stages.scores(read)["ngram"] for stages in (current.stages, made.stages))
        return float(np.abs(after - before).mean())

    assert moved(read) < 0.7 * moved(None)
