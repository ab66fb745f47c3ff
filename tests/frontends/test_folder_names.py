"""Names on the road: they come back from `work/` as they went in, and always fit the file system."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spamfilter.frontends.folder import names
from spamfilter.frontends.folder.names import Source
from spamfilter.message import new_message_id

ID = "0123456789abcdef"
FILENAMES = (
    st.binary(min_size=1, max_size=255)
    .filter(lambda b: not set(b"/\0") & set(b) and b not in (b".", b".."))  # no file can have these
    .map(os.fsdecode)
)


@given(FILENAMES, st.sampled_from(Source))
def test_a_claim_tells_where_the_file_came_from(name: str, source: Source) -> None:
    claim = names.claim_name(ID, source, name)
    claim_id, parsed_source, parsed = names.parse_claim(claim)
    assert (claim_id, parsed_source) == (ID, source) and len(os.fsencode(claim)) <= 255
    assert parsed == name or len(os.fsencode(name)) > 255 - len(ID) - 3


@given(FILENAMES)
def test_every_derived_name_fits_and_keeps_the_id(name: str) -> None:
    assert ID in names.with_id(name, ID) and len(os.fsencode(names.with_id(name, ID))) <= 255
    assert len(os.fsencode(names.reason_name(names.failed_name(name)))) <= 255
    assert names.shown(name).isprintable()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("offer.eml", f"offer-{ID}.eml"), ("offer", f"offer-{ID}"), ("1.M2.host:2,S" + "x" * 20, None)],
)
def test_the_id_stands_before_a_real_extension(name: str, expected: str | None) -> None:
    assert names.with_id(name, ID) == (expected or f"{name}-{ID}")


def test_a_foreign_name_in_work_is_taken_as_it_is() -> None:
    claim_id, source, name = names.parse_claim("by hand.eml")
    assert len(claim_id) == len(new_message_id()) and (source, name) == (Source.IN, "by hand.eml")


def test_temporary_names_are_hidden_and_left_alone() -> None:
    assert names.parse_temporary(names.temporary_name(ID)) == ID
    assert names.parse_temporary("a.part") is None and names.left_alone(names.temporary_name(ID))
