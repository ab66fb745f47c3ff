"""The arguments of MAIL and RCPT: the path understood, the ESMTP parameters kept exactly as they were given.

Source: RFC 5321 4.1.2 (paths, parameters), RFC 6531 3.3 (UTF-8 in paths), RFC 3461, 1870, 6152, 4954 (parameters).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spamfilter.frontends.smtp.reply import Reply

_PATH = re.compile(
    r"""<(?P<route>@[^\s:<>"]+:)?                         # source route: obsolete, to be ignored
        (?P<address>(?:"(?:[^"\\]|\\.)*"|[^\s"<>\\]|\\.)*) # quoted local parts may hold > and blanks
        >""",
    re.X,
)
_BARE_ADDRESS = re.compile(r'[^\s<>"\\]+')
_PARAMETER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(?:=[^\s\x00-\x20\x7f]+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")


class BadArgumentError(Exception):
    """An argument that cannot be understood; `reply` says so to the client."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class PathArgument:
    """`FROM:<path> parameters`. `path` is as given, with brackets; `address` is without brackets and source route."""

    path: str
    address: str
    parameters: tuple[str, ...] = ()

    def value(self, keyword: str) -> str | None:
        """The value of a parameter ("" when it has none), or None when it was not given."""
        for parameter in self.parameters:
            name, _, value = parameter.partition("=")
            if name.upper() == keyword:
                return value
        return None

    @property
    def keywords(self) -> list[str]:
        """The names of the parameters, in upper case."""
        return [parameter.partition("=")[0].upper() for parameter in self.parameters]

    def without(self, keyword: str) -> PathArgument:
        """The same without one parameter."""
        kept = tuple(p for p in self.parameters if p.partition("=")[0].upper() != keyword)
        return PathArgument(self.path, self.address, kept)

    @property
    def wire(self) -> bytes:
        """The path and the parameters as they go to the next hop."""
        return " ".join((self.path, *self.parameters)).encode("utf-8")


def parse_path(argument: str | None, keyword: str) -> PathArgument:
    """The argument of MAIL (keyword FROM) or RCPT (TO). Raises BadArgumentError.

    Lenient where Postfix is: blanks around the colon, an address without brackets. Strict about control characters
    and about bytes that are not UTF-8: both would be passed on to the next hop and into the log.
    """
    syntax = Reply.of(501, f"5.5.4 Syntax: {'MAIL' if keyword == 'FROM' else 'RCPT'} {keyword}:<address>")
    head, colon, rest = (argument or "").partition(":")
    if not colon or head.strip().upper() != keyword:
        raise BadArgumentError(syntax)
    if _CONTROL.search(rest):
        raise BadArgumentError(Reply.of(501, "5.5.4 Control characters are not allowed here"))
    try:
        rest.encode("utf-8")
    except UnicodeEncodeError:
        raise BadArgumentError(Reply.of(553, "5.6.7 Addresses beyond ASCII must be UTF-8")) from None
    rest = rest.strip(" ")
    match = _PATH.match(rest)
    if match:
        path, address, end = match.group(), match["address"], match.end()
    else:
        bare = _BARE_ADDRESS.match(rest)
        if not bare:
            raise BadArgumentError(syntax)
        path, address, end = f"<{bare.group()}>", bare.group(), bare.end()
    tail = rest[end:]
    if tail and not tail.startswith(" "):
        raise BadArgumentError(syntax)
    parameters = tuple(tail.split())
    for parameter in parameters:
        if not _PARAMETER.fullmatch(parameter):
            raise BadArgumentError(Reply.of(501, f"5.5.4 Bad parameter: {parameter[:80]}"))
    parsed = PathArgument(path, address, parameters)
    if len(set(parsed.keywords)) != len(parameters):
        raise BadArgumentError(Reply.of(501, "5.5.4 The same parameter twice"))
    if keyword == "TO" and not address:
        raise BadArgumentError(Reply.of(501, "5.1.3 A recipient must not be empty"))
    return parsed


def parse_xforward(argument: str) -> dict[str, str]:
    """The attributes of one XFORWARD command that are known: names in upper case, xtext decoded (RFC 3461 4)."""
    attributes = {}
    for word in argument.split():
        name, equals, value = word.partition("=")
        if equals and value.upper() not in ("[UNAVAILABLE]", "[TEMPUNAVAIL]"):
            attributes[name.upper()] = _XTEXT.sub(lambda code: chr(int(code[1], 16)), value)
    return attributes
