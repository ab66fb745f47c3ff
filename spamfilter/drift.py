"""Does today's mail still look like what the model was made for? Scores by day, beside the training's.

Compared is how scores are distributed (population stability index), after allowing for another share of spam: a host
with more spam than the training had is no drift. What people had to correct and how often the model was unsure stand
beside it, and what the sampled mail was like (`traits`). All comes from the decision log, the labels and the samples;
no message is read again.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from spamfilter.correction import Correction
from spamfilter.store.database import StoreError, open_database, reason, require_current, shown
from spamfilter.store.samples import Trait
from spamfilter.store.schema import decisions
from spamfilter.traits import Mix, Tally, Traits, traits_in, unlike
from spamfilter.verdict import Label

EDGES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)
"""Between the bins of probabilities: most scores lie at the ends."""
BINS = len(EDGES) + 1
SNAPSHOT = "snapshot"
"""The key in a bundle's manifest under which the training's scores stand, as `snapshot_of` makes it."""
FIRST_MESSAGES = 1000
"""Where a bundle has no snapshot, the first so many of its messages here stand in for it."""
_FLOOR = 1e-4
_PAGE = 5000

Histogram = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """From where a figure of the last `window_days` is a reason to retrain; a window with fewer messages than `least`
    says nothing. `psi`: 0.1 is some change, 0.25 much (Siddiqi 2006); `unsure`: by how much its share may grow;
    `corrections`: on 1,000 messages. Of fewer samples than `least_sampled` nothing is said; `languages`: from what
    distance on they moved far: a quarter of the mail, which chance alone does not give 50 samples of the same mail.
    """

    window_days: int = 7
    least: int = 200
    psi: float = 0.25
    unsure: float = 0.05
    corrections: float = 5.0
    least_sampled: int = 50
    languages: float = 0.25


@dataclass(frozen=True, slots=True)
class Scored:
    """What the log says of one message; `probability` and `label` are None where it was not scanned."""

    time: datetime
    probability: float | None
    label: str | None
    model_id: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """What scores ought to be like: counts by bin of ham and of spam (equal where they are not known apart), the shares
    of unsure among them, and where that is from."""

    ham: Histogram
    spam: Histogram
    unsure: tuple[float, float]
    origin: str

    @property
    def apart(self) -> bool:
        """Whether ham and spam are known apart."""
        return self.ham != self.spam

    def unsure_at(self, spam_share: float | None) -> float:
        """The share of unsure to be expected of mail with that share of spam."""
        share = spam_share or 0.0
        return (1 - share) * self.unsure[0] + share * self.unsure[1]


@dataclass(frozen=True, slots=True)
class Period:
    """A day, or the window: the model's scored messages by bin, unsure ones, corrections of those days, messages that
    were not scanned, and the distance from the reference at the share of spam that fits best; None where nothing can
    be said. `mix` is of the samples."""

    begin: date
    days: int
    histogram: Histogram
    unsure: int
    corrections: int
    unscanned: int
    psi: float | None = None
    spam_share: float | None = None
    mix: Mix = field(default_factory=Mix)

    @property
    def messages(self) -> int:
        """Scored messages."""
        return sum(self.histogram)

    @property
    def unsure_share(self) -> float | None:
        """The share of them that was unsure."""
        return self.unsure / self.messages if self.messages else None

    @property
    def corrections_per_1000(self) -> float | None:
        """Corrections on 1,000 scored messages."""
        return 1000 * self.corrections / self.messages if self.messages else None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **asdict(self),
            "begin": self.begin.isoformat(),
            "messages": self.messages,
            "unsure_share": self.unsure_share,
            "corrections_per_1000": self.corrections_per_1000,
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found: by day, oldest first, and over the window. `traits`: the training's, None where its bundle has
    none; `unlike`: how the sampled mail is unlike them."""

    model_id: str
    reference: Reference | None
    days: Sequence[Period]
    window: Period
    reasons: Sequence[str]
    settings: DriftSettings = field(default_factory=DriftSettings)
    traits: Traits | None = None
    unlike: Sequence[str] = ()

    @property
    def due(self) -> bool:
        """Whether a retraining is due."""
        return bool(self.reasons)

    @property
    def sentence(self) -> str:
        """The same for people."""
        return f"{self._judgement} {self._mail}".rstrip()

    @property
    def _mail(self) -> str:
        if not self.unlike:
            return ""
        return (
            f"Mail is unlike that of the training: {'; '.join(self.unlike)}. "
            "What people correct will show whether the model copes with it."
        )

    @property
    def _judgement(self) -> str:
        if self.window.messages < self.settings.least:
            return (
                f"Too few messages to say: {self.window.messages} in {self.window.days} days, "
                f"{self.settings.least} are wanted."
            )
        if self.reasons:
            return f"A retraining is due: {'; '.join(self.reasons)}. `spamfilter retrain --now` begins one."
        if self.reference is None:
            return "No sign of drift in what people corrected; there is nothing yet to compare the scores with."
        return f"No sign of drift: scores are distributed as in {self.reference.origin}."

    def metrics(self) -> dict[str, float]:
        """Figures of the window by name, for an exporter; what is not known is left out."""
        found = {
            "drift_messages": float(self.window.messages),
            "drift_unscanned": float(self.window.unscanned),
            "drift_retraining_due": float(self.due),
        }
        for name in ("psi", "spam_share", "unsure_share", "corrections_per_1000"):
            if (value := getattr(self.window, name)) is not None:
                found[f"drift_{name}"] = float(value)
        mix = self.window.mix
        if mix.unknown is not None:
            found["drift_unknown_share"] = mix.unknown
        if mix.languages and self.traits is not None:
            found["drift_languages_moved"] = self.traits.distance(mix)
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model_id": self.model_id,
            "due": self.due,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "edges": list(EDGES),
            "reference": None if self.reference is None else asdict(self.reference),
            "traits": None if self.traits is None else asdict(self.traits),
            "unlike": list(self.unlike),
            "days": [day.as_json() for day in self.days],
            "window": self.window.as_json(),
            "metrics": self.metrics(),
        }


def snapshot_of(
    probabilities: Iterable[float], spam: Iterable[int], unsure_at: float, spam_at: float
) -> dict[str, Any]:
    """What a bundle's manifest keeps of its training's scores (of messages that it had not learnt from)."""
    by_label: tuple[list[float], list[float]] = ([], [])
    for probability, label in zip(probabilities, spam, strict=True):
        by_label[1 if label else 0].append(float(probability))
    unsure = [sum(unsure_at <= p < spam_at for p in some) / max(len(some), 1) for some in by_label]
    return {
        "edges": list(EDGES),
        "ham": list(histogram(by_label[0])),
        "spam": list(histogram(by_label[1])),
        "unsure": [round(share, 6) for share in unsure],
    }


def histogram(probabilities: Iterable[float]) -> Histogram:
    """How many lie in each bin."""
    counts = Counter(bisect.bisect_right(EDGES, p) for p in probabilities)
    return tuple(counts[place] for place in range(BINS))


def reference_in(manifest: Mapping[str, Any]) -> Reference | None:
    """The snapshot in a bundle's manifest; None where there is none, or one of other bins."""
    try:
        kept = manifest[SNAPSHOT]
        ham, spam = (tuple(int(count) for count in kept[name]) for name in ("ham", "spam"))
        fits = tuple(kept["edges"]) == EDGES and len(ham) == len(spam) == BINS and sum(ham) > 0 and sum(spam) > 0
        unsure = float(kept["unsure"][0]), float(kept["unsure"][1])
        return Reference(ham, spam, unsure, f"the training of {manifest['model_id']}") if fits else None
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def psi(found: Sequence[int], expected: Sequence[float], sample: int) -> float:
    """Population stability index of counts against shares that were read from `sample` messages, less what chance alone
    gives two samples of these sizes; so it may lie below 0."""
    total = sum(found)
    shares = [max(count / total, _FLOOR) for count in found]
    wanted = [max(share, _FLOOR) for share in expected]
    distance = sum((a - e) * math.log(a / e) for a, e in zip(shares, wanted, strict=True))
    return distance - (BINS - 1) * (1 / total + 1 / max(sample, 1))


def distance(found: Sequence[int], reference: Reference) -> tuple[float, float | None]:
    """PSI at the share of spam that fits best, and that share (None where the reference does not know it)."""
    ham, spam = ([count / sum(some) for count in some] for some in (reference.ham, reference.spam))
    sample = sum(reference.ham) + sum(reference.spam) * reference.apart
    if not reference.apart:
        return max(0.0, psi(found, ham, sample)), None
    mixes = ((share / 100, [(100 - share) / 100 * h + share / 100 * s for h, s in zip(ham, spam, strict=True)])
             for share in range(101))  # fmt: skip
    far, spam_share = min((psi(found, mixed, sample), share) for share, mixed in mixes)
    return max(0.0, far), spam_share


def scored(url: URL, since: datetime) -> Iterator[Scored]:
    """The log's messages from `since` on, oldest first, a page at a time. Raises StoreError."""
    engine = open_database(url, writer=False)
    column = decisions.c
    wanted = select(column.time, column.id, column.probability, column.label, column.model_id)
    try:
        require_current(engine)
        last: tuple[datetime, str] | None = None
        while True:
            page = wanted.where(column.time >= (since if last is None else last[0]))
            if last is not None:
                page = page.where((column.time > last[0]) | (column.id > last[1]))
            with engine.connect() as connection:
                rows = connection.execute(page.order_by(column.time, column.id).limit(_PAGE)).all()
            for time, _, probability, label, model_id in rows:
                yield Scored(time, probability, label, model_id)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0], rows[-1][1]
    except SQLAlchemyError as error:
        raise StoreError(f"{shown(url)}: the decision log cannot be read: {reason(error)}") from None
    finally:
        engine.dispose()


def watched(
    messages: Iterable[Scored], corrections: Iterable[Correction], model_id: str, manifest: Mapping[str, Any],
    *, sampled: Iterable[Trait] = (), now: datetime | None = None, settings: DriftSettings | None = None,
) -> Drift:  # fmt: skip
    """Compare the model's messages, oldest first, and samples of the mail with what it was made for."""
    settings = settings or DriftSettings()
    tallies: dict[date, _Tally] = {}
    first: list[float] = []
    first_unsure = 0
    reference = reference_in(manifest)
    for one in messages:
        tally = tallies.setdefault(one.time.astimezone(UTC).date(), _Tally())
        if one.probability is None:
            tally.unscanned += 1
        elif one.model_id == model_id:
            if reference is None and len(first) < FIRST_MESSAGES:
                first.append(one.probability)
                first_unsure += one.label == Label.UNSURE
                continue
            tally.bins[bisect.bisect_right(EDGES, one.probability)] += 1
            tally.unsure += one.label == Label.UNSURE
    if reference is None and len(first) == FIRST_MESSAGES:
        begun = histogram(first)
        origin = f"the first {FIRST_MESSAGES:,} messages that {model_id} judged here"
        reference = Reference(begun, begun, (first_unsure / len(first),) * 2, origin)
    for said in corrections:
        day = said.time.astimezone(UTC).date()
        if said.label is not None and day in tallies:
            tallies[day].corrections += 1
    for one_of in sampled:
        tally = tallies.setdefault(one_of.time.astimezone(UTC).date(), _Tally())
        tally.mail.count(one_of.language, one_of.unknown if one_of.model_id == model_id else None)
    today = (now or datetime.now(UTC)).astimezone(UTC).date()
    days = [tallies[day].period(day, 1, reference) for day in sorted(tallies)]
    begin = today - timedelta(days=settings.window_days - 1)
    together = _Tally()
    for day, tally in tallies.items():
        if begin <= day <= today:
            together.add(tally)
    window = together.period(begin, settings.window_days, reference)
    training = traits_in(manifest)
    told = [] if training is None else [
        *unlike(window.mix, training, least=settings.least_sampled, languages=settings.languages)
    ]  # fmt: skip
    return Drift(
        model_id, reference, days, window, [*_reasons(window, reference, settings)], settings, training, told
    )  # fmt: skip


class _Tally:
    """Counts of some days."""

    def __init__(self) -> None:
        self.bins = [0] * BINS
        self.unsure = self.corrections = self.unscanned = 0
        self.mail = Tally()

    def add(self, other: _Tally) -> None:
        """Count another's, too."""
        self.bins = [mine + its for mine, its in zip(self.bins, other.bins, strict=True)]
        self.unsure += other.unsure
        self.corrections += other.corrections
        self.unscanned += other.unscanned
        self.mail.add(other.mail)

    def period(self, begin: date, days: int, reference: Reference | None) -> Period:
        """As a value."""
        far, spam_share = (None, None) if reference is None or not any(self.bins) else distance(self.bins, reference)
        return Period(
            begin, days, tuple(self.bins), self.unsure, self.corrections, self.unscanned, far, spam_share,
            self.mail.mix(),
        )  # fmt: skip


def _reasons(window: Period, reference: Reference | None, settings: DriftSettings) -> Iterator[str]:
    if window.messages < settings.least:
        return
    unsure, corrected = window.unsure_share or 0.0, window.corrections_per_1000 or 0.0
    if window.psi is not None and reference is not None and window.psi >= settings.psi:
        far = f"PSI {window.psi:.2f}, from {settings.psi:g} on it is much"
        yield f"scores are distributed unlike {reference.origin} ({far})"
    if reference is not None and unsure > (expected := reference.unsure_at(window.spam_share)) + settings.unsure:
        yield f"{100 * unsure:.1f} % of mail is unsure, where {100 * expected:.1f} % were expected"
    if corrected >= settings.corrections:
        yield f"people corrected {corrected:.1f} on 1,000 messages"
