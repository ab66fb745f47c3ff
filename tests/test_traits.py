"""Traits: what a manifest keeps, what is told of mail that is unlike the training's, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from spamfilter.traits import TRAITS, Mix, Tally, Traits, traits_in, traits_of, unlike

TRAINING = Traits(Mix(1000, 0.1, {"en": 0.9, "other": 0.08, "de": 0.02}), 0.2)


def told(found: Mix, training: Traits = TRAINING) -> list[str]:
    return [*unlike(found, training, least=50, languages=0.25)]


def test_a_manifest_keeps_shares_and_puts_the_rarest_together() -> None:
    unknown = [number / 2000 for number in range(2000)]
    languages = ["en"] * 1900 + ["de"] * 98 + ["th", "el"]
    kept = traits_of(unknown, languages)
    assert kept == {
        "messages": 2000,
        "unknown": 0.4998,
        "unknown_high": 0.9,
        "languages": {"en": 0.95, "de": 0.049, "other": 0.001},
    }
    found = traits_in({TRAITS: kept})
    assert found == Traits(Mix(2000, 0.4998, {"en": 0.95, "de": 0.049, "other": 0.001}), 0.9)
    with pytest.raises(ValueError, match="no messages"):
        traits_of([], [])
    with pytest.raises(ValueError):
        traits_of([0.1], [])


@pytest.mark.parametrize(
    "damage", [{"languages": 3}, {"unknown": "much"}, {"messages": None}, {"languages": {"en": "x"}}]
)
def test_traits_of_another_kind_are_none(damage: dict[str, Any]) -> None:
    kept = traits_of([0.1], ["en"])
    assert traits_in({TRAITS: {**kept, **damage}}) is None
    assert traits_in({TRAITS: []}) is None and traits_in({}) is None


def test_a_tally_counts_what_is_told() -> None:
    tally, other = Tally(), Tally()
    assert tally.mix() == Mix()
    tally.count("en", 0.2)
    tally.count("de", None)
    other.count("de", 0.4)
    other.count(None, 0.6)
    tally.add(other)
    found = tally.mix()
    assert found.languages == {"de": pytest.approx(2 / 3), "en": pytest.approx(1 / 3)}
    assert [*found.languages] == ["de", "en"]
    assert (found.messages, found.unknown) == (3, pytest.approx(0.4))


def test_the_distance_is_the_share_that_would_have_to_change() -> None:
    assert TRAINING.distance(TRAINING.mix) == 0
    assert TRAINING.distance(Mix(9, None, {"en": 0.6, "other": 0.08, "de": 0.32})) == pytest.approx(0.3)
    assert TRAINING.distance(Mix(9, None, {"zh": 1.0})) == pytest.approx(1.0)


def test_mail_as_in_training_is_not_told() -> None:
    assert told(Mix(200, 0.19, {"en": 0.7, "de": 0.22, "other": 0.08})) == []


def test_much_unknown_and_other_languages_are() -> None:
    [unknown, language] = told(Mix(200, 0.314, {"de": 0.6, "en": 0.4}))
    assert unknown == (
        "31 % of its words are hardly known to the model, more than in nine of ten of the training's messages (20 %)"
    )
    assert language == "60 % is in language 'de', where the training had 2 %"
    assert told(Mix(200, None, {"other": 0.5, "en": 0.5})) == [
        "50 % is in no language that is told, where the training had 8 %"
    ]


def test_nothing_is_told_of_few_or_of_what_was_not_asked() -> None:
    assert told(Mix(49, 0.9, {"zh": 1.0})) == []
    assert told(Mix(200, None, {})) == []
