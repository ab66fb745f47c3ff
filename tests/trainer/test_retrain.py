"""Retraining: corrections teach, the model that serves and the replay hold back, and nobody outvotes the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spamfilter.classifier.ngram import features, weigh
from tests.trainer import site
from trainer.errors import RecipeError
from trainer.evaluation.metrics import area
from trainer.inputs import Inputs
from trainer.recipes.retrain import Candidate, Current, Relearnt, Retrain, folds_of, retrain
from trainer.run import load_recipe
from trainer.trust import Corrections
from trainer.warm import Stages, fit_head, fit_ngram, fit_together, logits, products, standings, weighed, widened_idf


def judged(stages: Stages, current: Current, inputs: Inputs) -> np.ndarray:
    return logits(current.ensemble, standings(current.ensemble, stages.scores(inputs), inputs.mail), inputs.mail)


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    return retrain(site.current(), site.corrections(60), site.replay())


def test_corrections_teach_what_the_site_is_like(candidate: Candidate) -> None:
    raws, spam = site.mails(200, 99)
    inputs = site.inputs(raws, spam, 99)
    now = site.current()
    before = area(spam, judged(now.stages, now, inputs))
    after = area(spam, judged(candidate.stages, now, inputs))
    assert after > before and after > 0.97


def test_the_yaml_says_the_defaults() -> None:
    assert load_recipe(Retrain, "retrain") == Retrain()


def test_too_few_corrections_are_refused_with_a_reason() -> None:
    only_ham = site.corrections(10)[np.arange(0, 10, 2)]
    with pytest.raises(RecipeError, match="0 different corrected spam"):
        retrain(site.current(), only_ham)
    with pytest.raises(RecipeError, match="no corrections"):
        retrain(site.current(), site.corrections(2)[np.zeros(0, int)], site.replay())


def test_a_networks_states_are_served_and_those_that_had_not_learnt_judge() -> None:
    """The head is fitted to what is served; standings out of fold, and so the calibration, follow the unseen states."""
    now, mine, replay = site.current(), site.corrections(40), site.replay()
    pooled, kept = mine.inputs.pooled, replay.inputs.pooled
    settings = Retrain(bands=False)
    same = retrain(now, mine, replay, settings=settings, relearnt=Relearnt(pooled, kept, pooled, kept))
    plain = retrain(now, mine, replay, settings=settings)
    assert same.unseen == pytest.approx(plain.unseen) and same.stages.head.weight == pytest.approx(
        plain.stages.head.weight
    )
    by_heart = pooled + 10 * (2 * mine.spam - 1)[:, None] * np.eye(site.WIDTH)[0]
    learnt = retrain(now, mine, replay, settings=settings, relearnt=Relearnt(by_heart, kept + 1, pooled, kept))
    assert learnt.unseen == pytest.approx(plain.unseen)
    assert learnt.stages.head.weight != pytest.approx(plain.stages.head.weight)
    assert learnt.replay is not None and plain.replay is not None
    assert learnt.replay.inputs.pooled == pytest.approx(kept + 1)
    assert learnt.replay.calibrating.standing == pytest.approx(plain.replay.calibrating.standing)


def test_unlabelled_mail_of_another_network_speaks_of_ngrams_alone() -> None:
    raws, spam = site.mails(50, 5)
    recent, now, mine = site.inputs(raws, spam, 5), site.current(), site.corrections(20)
    settings = Retrain(unlabelled=20.0, bands=False)
    whole = retrain(now, mine, unlabelled=recent, settings=settings)
    bare = retrain(now, mine, unlabelled=replace(recent, pooled=recent.pooled[:0]), settings=settings)
    none = retrain(now, mine, settings=settings)
    assert bare.stages.ngram.weights == pytest.approx(whole.stages.ngram.weights)
    assert bare.stages.head.weight == pytest.approx(none.stages.head.weight)


def test_the_thresholds_are_read_from_a_replay_that_was_not_fitted_on() -> None:
    """A replay whose labels are drawn by lot can be learnt by heart only: its calibration must not look better."""
    made = site.replay()
    lot = np.random.default_rng(0).integers(0, 2, len(made))
    known = made.calibrating
    there = known.row >= 0
    spam = known.spam.copy()
    spam[there] = lot[known.row[there]]
    odd = replace(made, spam=lot, calibrating=replace(known, spam=spam))
    settings = Retrain(rehearsed=20.0, ngram_pull=0.01, head_pull=1.0, bands=False)
    found = retrain(site.current(), site.corrections(20), odd, settings=settings)
    assert found.replay is not None
    moved = found.replay.calibrating.standing[there] - known.standing[there]
    by_heart = standings(found.ensemble, found.stages.scores(odd.inputs), odd.inputs.mail)
    by_heart -= standings(found.ensemble, site.current().stages.scores(odd.inputs), odd.inputs.mail)
    gap = [
        change[spam[there] == 1, 0].mean() - change[spam[there] == 0, 0].mean()
        for change in (moved, by_heart[known.row[there]])
    ]
    assert gap[0] < gap[1] / 3


def test_a_class_that_nobody_corrected_comes_from_the_replay() -> None:
    only_spam = site.corrections(10)[np.arange(1, 10, 2)]
    made = retrain(site.current(), only_spam, site.replay(), settings=Retrain(bands=False))
    assert made.unseen == pytest.approx(made.before)  # nothing can be judged out of fold
    assert made.ensemble == site.current().ensemble
    now = site.current()
    assert judged(made.stages, now, only_spam.inputs).mean() > made.before.mean()


def test_a_hard_pull_leaves_the_model_as_it_was() -> None:
    settings = Retrain(ngram_pull=1e9, facts_pull=1e9, head_pull=1e9, together_pull=1e9, bands=False)
    now, mine = site.current(), site.corrections(20)
    made = retrain(now, mine, site.replay(), settings=settings)
    assert made.stages.ngram.weights == pytest.approx(now.stages.ngram.weights, abs=1e-5)
    assert made.stages.head.weight == pytest.approx(now.stages.head.weight, abs=1e-4)
    assert made.ensemble["mail"]["stages"]["ngram"]["weight"] == pytest.approx(1.0, abs=1e-3)


def test_unlabelled_mail_holds_its_scores() -> None:
    raws, spam = site.mails(100, 5, spam_words=["prize"], ham_words=["prize"])
    recent, now, mine = site.inputs(raws, spam, 5), site.current(), site.corrections(20)
    loose = retrain(now, mine, settings=Retrain(unlabelled=0.0, bands=False), unlabelled=recent)
    tight = retrain(now, mine, settings=Retrain(unlabelled=50.0, bands=False), unlabelled=recent)
    was = now.stages.scores(recent)["ngram"]
    moved = [np.abs(made.stages.scores(recent)["ngram"] - was).mean() for made in (loose, tight)]
    assert moved[1] < moved[0] / 2


def test_the_budget_holds_on_the_corrections_and_on_the_calibration(candidate: Candidate) -> None:
    mine = site.corrections(60)
    assert candidate.replay is not None
    known = candidate.replay.calibrating
    elsewhere = logits(candidate.ensemble, known.standing, known.mail)
    assert candidate.thresholds
    for row in candidate.thresholds:
        for ham in (candidate.unseen[mine.spam == 0], elsewhere[known.spam == 0]):
            lost = (1 / (1 + np.exp(-ham)) >= row["probability"]).sum()
            assert lost <= int(row["false_positive_rate"] * len(ham) + 1e-9)
    probabilities = [row["probability"] for row in candidate.thresholds]
    assert probabilities == sorted(probabilities, reverse=True)


def test_folds_keep_groups_together_and_spread_classes() -> None:
    mine = replace(
        site.corrections(40), group=np.repeat(np.arange(20), 2).astype(str), spam=np.repeat(np.arange(20) % 2, 2)
    )
    folds = folds_of(mine, 5, 0)
    assert folds is not None and set(folds) == {0, 1, 2, 3, 4}
    assert all(len(set(folds[mine.group == group])) == 1 for group in set(mine.group))
    assert all(len(set(mine.spam[folds == fold])) == 2 for fold in range(5))
    assert folds_of(mine[np.arange(2)], 5, 0) is None


def test_weighed_rows_are_those_of_the_served_stage() -> None:
    inputs = site.corrections(4).inputs
    idf = np.random.default_rng(0).random(inputs.counts.whole.shape[1]).astype(np.float32)
    found = weighed(inputs.counts.whole, idf)
    whole = inputs.counts.whole
    for row in range(4):
        part = slice(whole.indptr[row], whole.indptr[row + 1])
        assert found.data[part] == pytest.approx(weigh(whole.indices[part], whole.data[part].copy(), idf), abs=1e-6)
    assert features("a b")[0].dtype == np.int32


def test_an_unknown_feature_counts_when_two_messages_have_it() -> None:
    now = site.current().stages.ngram
    counts = site.corrections(40).inputs.counts.whole
    idf = widened_idf(now, counts, least=2)
    seen = np.bincount(counts.indices, minlength=len(idf))
    new = (now.idf == 0) & (seen > 0)
    assert ((idf > 0) == (seen >= 2))[new].all() and (seen[new] >= 2).any()
    assert np.array_equal(idf[now.idf > 0], now.idf[now.idf > 0])


def test_a_head_moves_where_its_states_differ_and_is_drawn_back() -> None:
    rng = np.random.default_rng(0)
    around = rng.normal(size=(400, site.WIDTH))
    states = rng.normal(size=(200, site.WIDTH))
    spam = (states[:, 3] > 0).astype(int)
    now = site.current().stages.head
    free = fit_head(now, states, spam, np.ones(200), around, pull=1.0)
    held = fit_head(now, states, spam, np.ones(200), around, pull=1e6)
    assert int(np.abs(free.weight - now.weight).argmax()) == 3
    assert held.weight == pytest.approx(now.weight, abs=1e-2)


def test_a_stage_that_misleads_at_the_site_loses_weight() -> None:
    rng = np.random.default_rng(0)
    spam, mail = np.arange(200) % 2, np.ones(200, bool)
    right = (2 * spam - 1) + rng.normal(size=200)
    standing = np.stack([right, -right, rng.normal(size=200)], 1)
    made = fit_together(site.current().ensemble, standing, spam, mail, np.ones(200), pull=10.0)
    weights = {name: how["weight"] for name, how in made["mail"]["stages"].items()}
    assert weights["ngram"] > 1.0 > weights["facts"] and made["text"] == site.current().ensemble["text"]


def test_fitting_on_nothing_changes_nothing() -> None:
    mine: Corrections = site.corrections(4)
    now = site.current().stages.ngram
    matrix = weighed(mine.inputs.counts.whole, now.idf)
    made = fit_ngram(now, now.idf, matrix, products(matrix), mine.spam, np.zeros(4), np.ones(4), pull=1.0)
    assert np.array_equal(made.weights, now.weights) and made.bias == now.bias


def test_products_are_all_inner_products_and_one() -> None:
    mine = site.corrections(12)
    matrix = weighed(mine.inputs.counts.whole, site.current().stages.ngram.idf)
    assert products(matrix) == pytest.approx((matrix @ matrix.T).toarray() + 1, abs=1e-4)


def test_the_fit_over_messages_is_the_minimum_over_features() -> None:
    mine = site.corrections(20)
    now = site.current().stages.ngram
    matrix = weighed(mine.inputs.counts.whole, now.idf)
    spam = np.where(np.arange(20) < 4, -1, mine.spam)  # of the first four the current model is the teacher
    weights, margins = np.random.default_rng(0).random(20) + 0.5, np.repeat([1.0, 3.0], 10)
    before = matrix @ now.weights + now.bias

    def cost(change: np.ndarray, bias: float) -> float:
        f = before + matrix @ change + bias
        short = np.where(spam < 0, before - f, np.maximum(0, margins - (2 * spam - 1) * f))
        return float(weights @ short**2 + 0.3 * (change @ change + bias * bias) / 2)

    made = fit_ngram(now, now.idf, matrix, products(matrix), spam, weights, margins, pull=0.3)
    change, bias = made.weights.astype(float) - now.weights, made.bias - now.bias
    least = cost(change, bias)
    rng = np.random.default_rng(1)
    used = np.unique(matrix.indices)
    for _ in range(20):
        other = change.copy()
        other[used] += rng.normal(size=len(used)) * 1e-2 / np.sqrt(len(used))
        assert cost(other, bias + rng.normal() * 1e-2) > least
