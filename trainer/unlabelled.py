"""Recent mail that nobody labelled, as the daemon sampled it: on it the model in service is a retraining's teacher."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from spamfilter.classifier.bundle import Bundle, BundleError, default_bundle, open_bundle
from spamfilter.classifier.ngram import DIMENSION
from spamfilter.classifier.sampled import Unpacked, unpack
from spamfilter.store.database import StoreError, store_url
from spamfilter.store.samples import SampleReader
from spamfilter.store.seal import sealer
from trainer.errors import DataError
from trainer.inputs import Inputs, without_passages
from trainer.job import Job
from trainer.rebundle import NETWORK

MOST = 500
"""Samples that a retraining reads, the newest: each costs its fit about a millisecond."""
_OF_THE_STATE = (NETWORK, "tokenizer.tiktoken")


def recent(job: Job) -> Inputs | None:
    """The newest samples whose pooled states are of the job's bundle's network, or None where there are none.

    A retrained bundle has its predecessor's network, so that its samples go on to count. Damaged ones, and those sealed
    with another key, are left out. Raises DataError where store or bundle cannot be read.
    """
    try:
        models = models_alike(open_bundle(job.bundle), job.state_dir)
        url, seal = store_url(job.store, job.state_dir), sealer(job.key) if job.key else None
        with SampleReader(url, seal=seal) as samples:
            kept = samples.recent(models, MOST)
    except (BundleError, StoreError) as error:
        raise DataError(str(error)) from None
    found = []
    for inputs in kept:
        with contextlib.suppress(ValueError):
            found.append(unpack(inputs))
    return inputs_of(found) if found else None


def inputs_of(samples: Sequence[Unpacked]) -> Inputs:
    """At least one unpacked sample, as the stages read them; of passages nothing is known."""
    ends = np.concatenate([[0], np.cumsum([len(one.ids) for one in samples])]).astype(np.int64)
    ids = np.concatenate([one.ids for one in samples])
    counts = np.log(np.concatenate([one.times for one in samples]).astype(np.float32)) + np.float32(1)
    whole = sparse.csr_matrix((counts, ids, ends), (len(samples), DIMENSION))
    facts, pooled = (np.stack(some) for some in zip(*((one.facts, one.pooled) for one in samples), strict=True))
    return Inputs(without_passages(whole), facts, pooled.astype(np.float32))


def as_sampled(inputs: Inputs, idf: np.ndarray) -> Inputs:
    """What a sample would hold of messages: nothing of their passages, no n-grams that have no `idf` (DIMENSION,)."""
    whole = inputs.counts.whole.copy()
    whole.data[idf[whole.indices] == 0] = 0
    whole.eliminate_zeros()
    return Inputs(without_passages(whole), inputs.facts, inputs.pooled)


def models_alike(bundle: Bundle, state_dir: Path) -> frozenset[str]:
    """The ids of the bundles at hand, this one among them, whose pooled states are of one network and tokenizer."""
    return frozenset(
        other.model_id
        for other in (bundle, *_at_hand(state_dir))
        if all(other.manifest["files"].get(name) == bundle.manifest["files"].get(name) for name in _OF_THE_STATE)
    )


def _at_hand(state_dir: Path) -> Iterator[Bundle]:
    for folder in (default_bundle(), *sorted((state_dir / "models").glob("*/"))):
        with contextlib.suppress(BundleError):
            yield open_bundle(folder)
