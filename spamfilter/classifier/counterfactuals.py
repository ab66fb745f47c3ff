"""What the probability would be without one thing or another: the model asked again about the rest.

A text that is taken out leaves the facts as they were, except that with the last host that is linked to, facts and
flags about links go. The memory is taken to say what it said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from spamfilter.classifier.disguises import EDGES
from spamfilter.classifier.explanation import Counterfactual, FactPart, SpanKind, called
from spamfilter.classifier.passages import Passage, Texts, span_of
from spamfilter.classifier.reading import Reading

TOGETHER = 5
"""So many passages are also taken out at once."""
CALLS = 9
"""How often the text is judged anew, at most."""
_PASSAGES = 3
_HOSTS = 3
_FACTS = 2
_LEAST_MOVED = 0.05


def counterfactuals(
    reading: Reading, texts: Texts, found: Sequence[Passage], facts: Sequence[FactPart]
) -> tuple[Counterfactual, ...]:
    """The probability without each of the strongest passages, hosts and facts, and without what the memory said: those
    that differ from the message's own, the most different first, as far as the texts' budget goes."""
    own = reading.recalled(reading.logit(texts.worth(texts.cuttings.all)))
    made: dict[str, float] = {}  # what is left out -> the logit

    def note(without: str, *blocks: range, gone: Collection[str] = ()) -> None:
        if not blocks or texts.budget.allows(1):
            text = texts.without(*blocks)
            made[without] = reading.recalled(reading.logit(text, without=gone))

    words = texts.cuttings.words
    strongest = [one for one in sorted(found, key=lambda one: -abs(sum(one.moved))) if sum(one.moved)]
    for one in [one for one in strongest if words[one.block.start].kind is not SpanKind.LINK][:_PASSAGES]:
        without = called(span_of(words, one))
        note(without[0].lower() + without[1:].rstrip(","), one.block)
    if len(strongest) > 1:
        some = strongest[:TOGETHER]
        note(f"the {len(some)} strongest passages together", *(one.block for one in some))
    hosts: dict[str, list[range]] = {}
    for at, word in enumerate(words):
        if word.kind is SpanKind.LINK:
            hosts.setdefault(word.text.strip(EDGES).removeprefix("http://"), []).append(range(at, at + 1))
    gone = [fact.name for fact in facts if fact.present and fact.name.startswith("link_")]
    if hosts:
        every = [
            range(at, at + 1)
            for at, word in enumerate(words)
            if word.kind is SpanKind.LINK or (word.kind is SpanKind.FLAG and "link" in word.text)
        ]
        note("any link" if len(hosts) > 1 else f'the link to "{next(iter(hosts))}"', *every, gone=gone)
    for host in [*hosts][:_HOSTS] if len(hosts) > 1 else ():
        note(f'the link to "{host}"', *hosts[host])
    for fact in [fact for fact in facts if fact.present and fact.moved][:_FACTS]:
        note(f"this: {fact.sentence}", gone=[fact.name])
    if reading.score.recalled is not None:
        made["what people marked before"] = reading.logit(texts.without())
    differing = sorted(made.items(), key=lambda one: -abs(one[1] - own))
    return tuple(
        Counterfactual(without, reading.probability(logit))
        for without, logit in differing
        if abs(logit - own) >= _LEAST_MOVED
    )
