"""What passages moved, by a judge whose answer is known: exact sums, and the shares that Shapley's axioms demand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.classifier.cuttings import Cuttings
from spamfilter.classifier.passages import Budget, Texts, passages, span_of
from spamfilter.document import joined

NGRAM = {"money": 0.5, "lunch": -0.25}


class Judge:
    """Adds up what words are worth to the n-grams; to the GPT, two words count only where both are there."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, head: str, tail: str) -> tuple[float, float]:
        self.asked.append((head, tail))
        words = f"{head} {tail}".split()
        gpt = 2.0 * words.count("pills") + 3.0 * ("buy" in words and "now" in words)
        return gpt, sum(NGRAM.get(word, 0.0) for word in words)


def texts(head: str, tail: str = "", preamble: str = "", seconds: float = 60.0) -> tuple[Texts, Judge]:
    judge = Judge()
    cuttings = Cuttings(joined(preamble, head), tail, preamble, {})
    shares = [NGRAM.get(word.text.strip(), 0.0) for word in cuttings.words]
    return Texts(cuttings, judge, Budget(seconds), shares), judge


def moved(some: Texts) -> dict[str, tuple[float, float]]:
    words = some.cuttings.words
    return {span.text: (span.gpt, span.ngram) for span in (span_of(words, one) for one in passages(some))}


def test_words_get_what_they_add() -> None:
    found = moved(texts("buy the best pills now and let us have lunch")[0])
    assert found["pills"] == pytest.approx((2.0, 0.0))
    assert found["lunch"] == pytest.approx((0.0, -0.25))
    assert found["buy"][0] == pytest.approx(found["now"][0], abs=1.0)
    assert found["buy"][0] + found["now"][0] == pytest.approx(3.0)
    assert all(abs(sum(one)) < 1e-9 for text, one in found.items() if text not in ("pills", "lunch", "buy", "now"))


def test_lines_of_the_preamble_and_the_tail_count() -> None:
    found = moved(texts("hello", "buy money", "from: now @a.example\nsubject: lunch")[0])
    assert found["now"][0] + found["buy"][0] == pytest.approx(3.0)
    assert found["hello"] == found["@a.example"] == pytest.approx((0.0, 0.0))
    assert (found["lunch"][1], found["money"][1]) == pytest.approx((-0.25, 0.5))


def test_rounding_is_spread_over_the_words() -> None:
    judge = Judge()
    cuttings = Cuttings("money for lunch", "", "", {})
    some = Texts(cuttings, judge, Budget(60.0), [0.5003, 0.0, -0.25])
    assert some.ngram == pytest.approx([0.5002, -0.0001, -0.2501])


@pytest.mark.parametrize("seconds", [0.0, 0.002, 60.0])
@given(words=st.lists(st.sampled_from(["pills", "lunch", "buy", "now", "money", "and.", "so,\n", "发票"]), max_size=40))
def test_the_sum_is_exact_whatever_the_text_and_the_time(seconds: float, words: list[str]) -> None:
    some, _ = texts(" ".join(words).strip(), seconds=seconds)
    found = passages(some)
    whole, nothing = some.worth(some.cuttings.all), some.worth(some.cuttings.none)
    for stage in (0, 1):
        assert sum(one.moved[stage] for one in found) == pytest.approx(whole[stage] - nothing[stage], abs=1e-9)
    assert [at for one in found for at in one.block] == [*range(len(some.cuttings.words))]


def test_without_time_there_is_one_order_and_the_sum_is_exact_still() -> None:
    some, judge = texts("buy pills. now lunch. " * 50, seconds=0.0)
    found = passages(some)
    assert len(judge.asked) <= len(some.cuttings.blocks()) + 1
    assert {len(one.gpt) for one in found} == {1}
    whole, nothing = some.worth(some.cuttings.all), some.worth(some.cuttings.none)
    assert sum(sum(one.moved) for one in found) == pytest.approx(sum(whole) - sum(nothing))


def test_calls_are_bounded_and_some_are_kept() -> None:
    some, judge = texts("buy pills now. " * 300)
    passages(some, keep=20)
    assert len(judge.asked) <= some.budget.calls - 20
    assert len(set(judge.asked)) == len(judge.asked)


def test_an_empty_text_has_none() -> None:
    assert passages(texts("")[0]) == []
