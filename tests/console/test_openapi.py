"""The description of the interface is whole: every route is in it, every reference leads somewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from spamfilter.console import api
from spamfilter.console.openapi import DOCUMENT
from spamfilter.console.page import API
from tests.console.schemas import faults
from tests.console.serving import Served


def references(value: Any) -> Iterator[str]:
    """Every $ref below a value."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "$ref":
                yield item
            else:
                yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


async def test_it_is_served_to_anybody(served: Served) -> None:
    answer = await (await served.client()).get("/openapi.json")
    assert answer.json() == json.loads(json.dumps(DOCUMENT))
    assert answer.json()["openapi"] == "3.1.0"


def test_it_names_every_route_and_method_of_the_interface() -> None:
    served = {
        (r.path, m.lower()) for r in api.routes if r.path.startswith(API) for m in (r.methods or set()) - {"HEAD"}
    }
    assert served == {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    wanted = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) == wanted


@pytest.mark.parametrize(
    "value",
    [
        {"status": "ok"},
        {"status": "well", "version": "1"},
        {"status": "ok", "version": 1},
        {"status": "ok", "version": "1", "more": 1},
        [],
    ],
)
def test_the_checker_sees_what_does_not_fit(value: Any) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert [*faults(value, schemas["Health"], schemas)]
