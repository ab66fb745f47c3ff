"""What is known of a message that is to be explained, beside its text: facts, weights, and how it all adds up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from spamfilter.verdict import Score


@dataclass(frozen=True, slots=True)
class Reading:
    """`score` is what the message got. `present` has the weights of the facts that are there, `absent` names those that
    were looked for, are not there, and would count.

    `facts_add` says what a sum of such weights adds to the logit, beside the `bias`. `recalled` is where the memory
    takes a logit, `probability` what a logit means.
    """

    score: Score
    bias: float
    present: Mapping[str, float]
    absent: Sequence[str]
    facts_add: Callable[[float], float]
    recalled: Callable[[float], float]
    probability: Callable[[float], float]

    def logit(self, text: tuple[float, float], *, without: Collection[str] = ()) -> float:
        """The logit before the memory speaks, of a text to which GPT and n-grams add so much, without some facts."""
        weights = [weight for name, weight in self.present.items() if name not in without]
        return self.bias + self.facts_add(sum(weights)) + sum(text)
