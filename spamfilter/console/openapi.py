"""The description of the interface for programs, in OpenAPI 3.1, as data; a test holds it against real answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spamfilter import __version__
from spamfilter.classifier.explanation import SpanKind
from spamfilter.message import Kind
from spamfilter.verdict import Action, FailureKind, Label

Schema = dict[str, Any]


def _object(optional: Mapping[str, Schema] | None = None, /, **properties: Schema) -> Schema:
    """An object of which everything is there but what is optional."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
        "additionalProperties": False,
    }


def _of(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _enum(values: type[Any], description: str) -> Schema:
    return {"type": "string", "enum": [str(value) for value in values], "description": description}


def _named(schema: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": schema, "description": description}


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_YES: Schema = {"type": "boolean"}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_MOVED: Schema = {"type": "number", "description": "Log-odds; above 0 leans to spam."}

_SCHEMAS: Mapping[str, Schema] = {
    "Given": _object(
        {
            "kind": {"type": "string", "enum": ["auto", *map(str, Kind)], "default": "auto"},
            "mail_from": {"type": ["string", "null"], "description": 'Envelope sender; "" is the null sender.'},
            "rcpt_tos": _list(_TEXT),
        },
        message={"type": "string", "description": "A whole mail with its header block, or a plain text."},
    ),
    "Failure": _object(
        kind=_enum(FailureKind, "Why there is no verdict."), detail={"type": "string", "description": "For people."}
    ),
    "Thresholds": _object(unsure_at=_PROBABILITY, spam_at=_PROBABILITY),
    "Recall": _object(content=_TEXT, label=_enum(Label, "As a person marked it."), time=_NUMBER, similarity=_NUMBER),
    "Verdict": _object(
        {"explanation": _of("Explanation")},
        id={"type": "string", "description": "By which the decision is found in the log."},
        kind=_enum(Kind, "How the bytes were read."),
        content={"type": "string", "description": "Hash by which every copy of the message is known."},
        label=_or_null(_enum(Label, "Null where there is no verdict.")),
        probability=_or_null({**_PROBABILITY, "description": "That it is spam; calibrated."}),
        action=_enum(Action, "What policy wants done with it; the caller has to do it."),
        failure=_or_null(_of("Failure")),
        thresholds=_or_null(_of("Thresholds")),
        stages=_named(_PROBABILITY, "Each stage's own probability; without gpt where it was spared."),
        model=_or_null(_TEXT),
        recalled=_or_null(_of("Recall")),
        timings_ms=_named(_NUMBER, "Milliseconds by step."),
        headers={**_list(_object(name=_TEXT, value=_TEXT)), "description": "The fields that mail would be given."},
        logged={"type": "boolean", "description": "Whether the decision stands in the log."},
    ),
    "Explanation": {"anyOf": [_of("Unexplained"), _of("Explained")]},
    "Unexplained": _object(failure=_of("Failure")),
    "Explained": {
        **_object(
            failure={"type": "null"},
            probability={**_PROBABILITY, "description": "With no stage spared, so it may differ a little."},
            logit=_NUMBER,
            base={"type": "number", "description": "The logit of a message that says nothing."},
            memory=_MOVED,
            stages=_named(_MOVED, "What each stage moved."),
            spans=_list(_of("Span")),
            facts=_list(_of("Fact")),
            counterfactuals=_list(_object(without=_TEXT, probability=_PROBABILITY)),
            reasons=_list(_object(moved=_MOVED, rule=_TEXT, sentence=_TEXT)),
            head={"type": "string", "description": "The text as the model read it."},
            tail={"type": "string", "description": "The end of a long text."},
        ),
        "description": "base + the moved of spans and facts + memory = logit.",
    },
    "Span": _object(
        start=_COUNT,
        end=_COUNT,
        part={"type": "string", "enum": ["head", "tail"]},
        text=_TEXT,
        gpt=_MOVED,
        ngram=_MOVED,
        kind=_enum(SpanKind, "What the passage is, or what was done to it."),
        written={"type": "string", "description": "As it stood in the mail, where that was undone before reading."},
    ),
    "Fact": _object(name=_TEXT, sentence=_TEXT, present=_YES, moved=_MOVED),
    "Health": _object(
        {"model": _TEXT, "failure": _enum(FailureKind, "Why no message gets a verdict now.")},
        status={"type": "string", "enum": ["ok", "unable"]},
        version=_TEXT,
    ),
    "Problem": {
        **_object(type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT),
        "description": "RFC 9457",
    },
}


def _parameter(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _switch(name: str, default: str, description: str) -> Schema:
    return _parameter(name, {"type": "string", "enum": ["0", "1"], "default": default}, description)


_KIND = _parameter(
    "kind",
    {"type": "string", "enum": ["auto", *map(str, Kind)], "default": "auto"},
    "How raw bytes are read; auto looks whether they begin with a header block.",
)
_EXPLAIN = _switch("explain", "0", "1: say why, too. That takes longer.")
_REFUSALS = {
    "401": "No session, and no token that is known.",
    "403": "From another site's page, or under a name that the console does not answer to.",
    "413": "Larger than engine.max_message_mib.",
    "415": "A content type that holds no message.",
    "422": "The request is no message.",
}


def _answers(name: str, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": _of(name)}}}


def _verdict(summary: str, ident: str, parameters: list[Schema]) -> Schema:
    raw = {"schema": {"type": "string", "contentEncoding": "binary"}}
    problem = {"application/problem+json": {"schema": _of("Problem")}}
    return {
        "post": {
            "operationId": ident,
            "summary": summary,
            "parameters": parameters,
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": _of("Given")},
                    "message/rfc822": raw,
                    "text/plain": raw,
                    "application/octet-stream": raw,
                },
            },
            "responses": {
                "200": _answers("Verdict", "A verdict, or the failure that stands in its place."),
                **{code: {"description": why, "content": problem} for code, why in _REFUSALS.items()},
            },
            "security": [{"token": []}, {}],
        }
    }


DOCUMENT: Mapping[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "spamfilter",
        "version": __version__,
        "description": "Verdicts over HTTP. On loopback no token is needed, unless the console is set up for a proxy "
        "or further host names; `spamfilter console token add NAME` makes one.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "servers": [{"url": "/"}],
    "paths": {
        "/v1/scan": _verdict(
            "The verdict on a message",
            "scan",
            [_KIND, _EXPLAIN, _switch("log", "1", "0: leave no line in the decision log.")],
        ),
        "/v1/explain": _verdict(
            "The verdict on a message, and why",
            "explain",
            [_KIND, _switch("log", "0", "1: write the decision into the log.")],
        ),
        "/v1/health": {
            "get": {
                "operationId": "health",
                "summary": "Whether a message would get a verdict now",
                "responses": {
                    "200": _answers("Health", "It would."),
                    "503": _answers("Health", "It would not, and why."),
                },
                "security": [{}],
            }
        },
    },
    "components": {
        "schemas": dict(_SCHEMAS),
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
}
