"""Checks values against the part of JSON Schema that the console's OpenAPI document uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
_KNOWN = {
    *("$ref", "anyOf", "type", "enum", "properties", "required", "additionalProperties", "items"),
    *("minimum", "maximum", "description", "default", "contentEncoding"),
}


def faults(value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any], where: str = "$") -> Iterator[str]:
    """What is wrong with `value`, and where."""
    unknown = set(schema) - _KNOWN
    assert not unknown, f"{where}: this checker does not know {unknown}"
    if "$ref" in schema:
        yield from faults(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, where)
        return
    if "anyOf" in schema:
        found = [[*faults(value, one, schemas, where)] for one in schema["anyOf"]]
        if all(found):
            yield f"{where}: fits none: {found}"
        return
    names = schema.get("type", [*_TYPES])
    names = [names] if isinstance(names, str) else names
    if not any(isinstance(value, _TYPES[name]) and (name == "boolean" or type(value) is not bool) for name in names):
        yield f"{where}: {value!r} is no {names}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if type(value) in (int, float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{where}: {value} is out of bounds"
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), schemas, f"{where}[{number}]")
    if isinstance(value, dict):
        yield from _of_object(value, schema, schemas, where)


def _of_object(
    value: dict[str, Any], schema: Mapping[str, Any], schemas: Mapping[str, Any], where: str
) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name in set(schema.get("required", ())) - set(value):
        yield f"{where}: no {name}"
    for name, item in value.items():
        if name in properties:
            yield from faults(item, properties[name], schemas, f"{where}.{name}")
        elif others is False:
            yield f"{where}: {name} is not described"
        else:
            yield from faults(item, others, schemas, f"{where}.{name}")
