"""The benchmarks' own arithmetic: what they divide, count and compare. No time is measured here."""

from __future__ import annotations

import math

import pytest

from tests.bench import parsers, size, speed, steps
from tests.bench.ceiling import ceilings, product_operations
from tests.bench.figures import GptShape, Ratio, per_second, percentile
from tests.bench.ours import Seen
from tests.bench.peers.nxdomain import answer
from tests.bench.race import COLUMNS, Tally


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 5), (0.91, 10), (0.95, 10), (1.0, 10)])
def test_percentile(share: float, value: float) -> None:
    assert percentile([7, 1, 10, 3, 5, 2, 9, 4, 8, 6], share) == value


def test_nothing_measured_is_not_zero() -> None:
    assert math.isnan(percentile([], 0.5))
    assert math.isnan(per_second(0, 1.0))


@pytest.mark.parametrize(
    ("ratio", "kept"),
    [
        (Ratio("a", 15, 10, 1.5), True),
        (Ratio("a", 14, 10, 1.5), False),
        (Ratio("a", 10, 10, 1, strictly=True), False),
        (Ratio("a", 11, 10, 1, strictly=True), True),
        (Ratio("a", math.nan, 10, 1), None),
        (Ratio("a", 10, math.nan, 1), None),
    ],
)
def test_ratio(ratio: Ratio, kept: bool | None) -> None:
    assert ratio.kept is kept


def test_operations_of_one_layer_by_hand() -> None:
    shape = GptShape(layers=1, channels=2, hidden=3, last_layer_for_last_token=False)
    # for each of 4 tokens: 2 -> 6, 2 -> 2, 2 -> 3, 3 -> 2, a multiply-add is two
    assert shape.matrix_flops(4) == 4 * 2 * (2 * 6 + 2 * 2 + 2 * 3 + 3 * 2)
    # scores and weighted sums: 4 x 4 pairs of 2 channels each; 10 pairs on and below the diagonal
    assert shape.attention_flops(4, causal=False) == 2 * 2 * 16 * 2
    assert shape.attention_flops(4, causal=True) == 2 * 2 * 10 * 2


def test_operations_where_the_last_layer_is_for_the_last_token() -> None:
    whole = GptShape(layers=2, channels=2, hidden=3, last_layer_for_last_token=False)
    trimmed = GptShape(layers=2, channels=2, hidden=3, last_layer_for_last_token=True)
    first = whole.matrix_flops(4) // 2
    # keys and values for all, the query and all that follows for one
    assert trimmed.matrix_flops(4) == first + 2 * (4 * 2 * 4 + 4 + 4 + 12)
    assert trimmed.attention_flops(4, causal=False) == 2 * 2 * 2 * (16 + 4)
    assert trimmed.matrix_flops(1) == whole.matrix_flops(1)


def test_operations_of_a_profiled_product() -> None:
    about = {
        "input_type_shape": [{"uint8": [5, 7]}, {"int8": [7, 11]}, {"uint8": []}],
        "output_type_shape": [{"int32": [5, 11]}],
    }
    assert product_operations("MatMulInteger", about) == 2 * 5 * 7 * 11
    assert product_operations("Softmax", about) == 0


def test_the_best_of_several_measurements() -> None:
    best = ceilings({"a": {"gflops": 1.0}, "b": {"gflops": 5.0}}, {"a": {"gflops": 2.0}})
    assert {name: result["gflops"] for name, result in best.items()} == {"a": 2.0, "b": 5.0}


def test_steps_that_were_left_out_cost_nothing() -> None:
    seen = [
        Seen(1000, True, {"document": 1.0, "gpt": 4.0, "total": 5.5}),
        Seen(30_000, False, {"document": 3.0, "total": 3.5}),
    ]
    named = steps.names(seen)
    assert named == ["document", "gpt", steps.REST]
    classes = steps.by_class(seen, named)
    assert list(classes) == ["all", "< 2 kB", ">= 20 kB"]
    assert classes["all"]["mean_ms"] == {"document": 2.0, "gpt": 2.0, "rest": 0.5}
    assert classes["all"]["escalated"] == 0.5
    assert classes[">= 20 kB"]["mean_ms"]["gpt"] == 0


def test_ratios_go_by_the_median_round_and_say_what_was_not_measured() -> None:
    tallies = {
        "ours, cascade on, in process": Tally("ours", "", mails=10, cpu_seconds=0.02, rounds=[900.0, 1100.0, 10.0]),
        "rspamd": Tally("rspamd", "", mails=5, cpu_seconds=0.05, rounds=[100.0]),
        "bogofilter, bulk": Tally("bogofilter, bulk", "", absent="not installed: apt-get install bogofilter"),
    }
    found = {ratio.what: ratio for ratio in speed.ratios(tallies, [True])}
    assert found["cascade on, in process / rspamd"].value == 9.0
    assert found["cascade on, in process / rspamd"].by_cpu == pytest.approx(5.0)
    assert found["cascade on, in process / rspamd"].kept is True
    assert found["cascade on, in process / bogofilter, bulk"].kept is None
    assert found["cascade on, in process: msg/s / 1,000"].kept is False


def test_an_absent_peer_has_a_row_that_says_so() -> None:
    row = Tally("rspamd", "", absent="not installed: apt-get install rspamd").row()
    assert row[0] == "rspamd: not installed: apt-get install rspamd"
    assert len(row) == len(COLUMNS)


def test_a_reader_without_half_of_the_words_lost_the_text() -> None:
    found = {"a": parsers.words("one two three four"), "b": parsers.words("one TWO"), "c": parsers.words("one")}
    assert parsers.lost(found) == ["c"]
    assert parsers.lost({"a": frozenset(), "b": frozenset()}) == []


@pytest.mark.parametrize("kind", size.KINDS)
def test_mails_of_a_wanted_size(kind: str) -> None:
    assert size.sizes(30_000) == [10_000, 20_000, 30_000]
    raw = size.KINDS[kind](50_000)
    assert abs(len(raw) - 50_000) < 2_000
    assert parsers.ours(raw).strip().startswith(("the", "<html>", *size._WORDS))


def test_the_name_server_says_nxdomain() -> None:
    name = b"\x02de\x07example\x00"
    question = (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" + name + b"\x00\x10\x00\x01" + b"\x00\x00\x29" + bytes(8)
    )
    reply = answer(question)
    assert reply is not None
    assert reply[:2] == question[:2]
    assert reply[2] & 0x80 and reply[3] & 0x0F == 3
    assert reply[4:12] == b"\x00\x01\x00\x00\x00\x01\x00\x00"  # one question, one record of authority
    assert reply[12 : 12 + len(name) + 4] == name + b"\x00\x10\x00\x01"
    assert answer(b"\x00" * 11) is None
