"""Takes a score apart: what the text's passages moved, what each fact did, and what it would be without them.

Facts enter as one bounded function of a sum. Their shares along the straight line from no fact to all of them are in
proportion to their weights (Aumann and Shapley 1974), and add up exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from spamfilter.classifier import counterfactuals as what_if
from spamfilter.classifier.explanation import Explanation, FactPart
from spamfilter.classifier.passages import Texts, passages, span_of
from spamfilter.classifier.reading import Reading
from spamfilter.facts.sentences import SENTENCES


def explain(reading: Reading, texts: Texts) -> Explanation:
    """The whole explanation of a message that was read, as good as the texts' budget allows."""
    words = texts.cuttings.words
    whole, nothing = texts.worth(texts.cuttings.all), texts.worth(texts.cuttings.none)
    found = passages(texts, keep=what_if.CALLS)
    shares = fact_shares(reading.present, reading.facts_add)
    facts = [FactPart(name, SENTENCES[name], True, moved) for name, moved in shares.items()]
    facts.sort(key=lambda fact: -abs(fact.moved))
    facts += [FactPart(name, SENTENCES[name], False, 0.0) for name in reading.absent]
    logit = reading.logit(whole)
    head, tail = texts.cuttings.text(texts.cuttings.all)
    return Explanation(
        score=replace(reading.score, probability=reading.probability(reading.recalled(logit))),
        logit=reading.recalled(logit),
        base=reading.bias + reading.facts_add(0.0) + sum(nothing),
        spans=tuple(span_of(words, one) for one in found),
        facts=tuple(facts),
        stages={"gpt": whole[0] - nothing[0], "ngram": whole[1] - nothing[1], "facts": sum(shares.values())},
        memory=reading.recalled(logit) - logit,
        counterfactuals=what_if.counterfactuals(reading, texts, found, facts),
        head=head,
        tail=tail,
    )


def fact_shares(weights: Mapping[str, float], function: Callable[[float], float]) -> dict[str, float]:
    """What each weight adds to `function(sum of the weights) - function(0)`, in proportion; these sum to it exactly.

    Where the weights cancel out to nothing the slope at 0 stands for the proportion.
    """
    each = slope(function, sum(weights.values()))
    return {name: each * weight for name, weight in weights.items()}


def slope(function: Callable[[float], float], total: float) -> float:
    """What a function adds for each unit of its argument on the way from 0 to a total."""
    step = total if abs(total) > 1e-9 else 1e-3
    return (function(step) - function(0.0)) / step
