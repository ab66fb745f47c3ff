"""HTML mail to the text that a reader sees, and what the markup says besides.

Style is inherited: a paragraph inside a hidden table is hidden. In modern phishing more than half of the characters are
hidden filler for filters; they are counted, and kept out of the text. Cost is bounded by size and by number of tags,
since deeply nested markup makes any parser quadratic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser

MAX_CHARACTERS = 400_000
MAX_TAGS = 8_000

_DROPPED = frozenset(
    [
        "script",
        "style",
        "head",
        "title",
        "noscript",
        "template",
        "object",
        "applet",
        "iframe",
        "textarea",
        "select",
        "svg",
    ]
)
_BLOCKS = frozenset(
    [
        "p",
        "div",
        "br",
        "tr",
        "table",
        "ul",
        "ol",
        "li",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "blockquote",
        "pre",
        "section",
        "article",
        "header",
        "footer",
        "center",
        "form",
    ]
)
_HIDING_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all"
    r"|(?<![\w-])opacity\s*:\s*(?:0|0?\.0\d{0,9})\s*(?:;|$|!)|(?<![\w-])font\s*:\s*0(?![.\d])"
    r"|font-size\s*:\s*(?:[01](?:\.\d+)?(?:px|pt|%)?|0?(?:\.[0-2]\d*)?r?em)\s*(?:;|$|!)"
    r"|max-height\s*:\s*0(?:px)?\s*(?:;|$|!)|(?:text-indent|left|top)\s*:\s*-\d{3,}"
    r"|clip\s*:\s*rect\(\s*0[,\s]|clip-path\s*:\s*inset\(\s*(?:50|100)%|transform\s*:\s*scale\(\s*0\s*\)",
    re.I,
)
_NO_ROOM = re.compile(r"(?<![\w-])(?:height|width)\s*:\s*0(?:px)?\s*(?:;|$|!)", re.I)
_OVERFLOW = re.compile(r"overflow(?:-[xy])?\s*:\s*hidden", re.I)
_SHOWING_FONT = re.compile(r"font-size\s*:\s*(?:[2-9]\d*|1\d+)", re.I)
_COLOUR = re.compile(r"(?:^|[;\s])(background(?:-color|-image)?|color)\s*:\s*([^;!]{1,100})", re.I)
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})")
_HEX = re.compile(r"#?([0-9a-f]{6}|[0-9a-f]{3})")
_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240)}
_NEAR = 12
"""Colours whose parts differ by at most this much look the same to a reader."""
_SIMPLE_SELECTOR = re.compile(r"^(?:[a-z0-9]+)?([.#])([\w-]+)$", re.I)
_TAG = re.compile(r"<(?:!--.*?(?:-->|$)|(?:script|style)\b.*?(?:</(?:script|style)\s*>|$)|[^>]*(?:>|$))", re.S | re.I)
# between two letters; begins with the rarer sign, and looks back for the first
_SPLIT_WORD = re.compile(r"<(?<=[A-Za-z]<)(?:!--[^>]{0,200}-->|[^\s>/]{1,20}></?[^\s>]{0,20}>)[A-Za-z]")
_PAINTING = frozenset(["class", "id", "color", "text", "bgcolor", "background", "style"])
_REMEMBERED = 300
"""Characters of a style whose reading is kept for its next use: most styles of a page stand in it many times."""
_DEEPEST_LINK = 24
"""Links are shallow: what stands deeper in one only loses the end of its shown text."""


Colour = tuple[int, int, int] | str
Paint = tuple[Colour | None, Colour | None]
"""Of the letters and behind them; None where a style sheet or a picture decides."""


@dataclass(frozen=True, slots=True)
class Sheets:
    """What a mail's style sheets do: classes and ids that they hide, whether they set colours, and backgrounds."""

    hidden: frozenset[str]
    colours: bool
    backgrounds: bool


@dataclass(slots=True)
class Visible:
    """Visible text, links as (href, shown text), and counts. Hidden text is counted in characters, never returned."""

    text: str = ""
    links: list[tuple[str, str]] = field(default_factory=list)
    title: str = ""
    hidden_characters: int = 0
    images: int = 0
    remote_images: int = 0
    tags: frozenset[str] = frozenset()
    split_words: int = 0
    markup_characters: int = 0
    cut: bool = False


def visible(html: str) -> Visible:
    """The text of an HTML part as it would be shown. Never raises; what is too large is cut at the end."""
    seen = Visible(markup_characters=len(html))
    seen.split_words = _split_words(html[:MAX_CHARACTERS])
    html, seen.cut = _bounded(html)
    try:
        _render(html, seen)
    except Exception:  # the C parser's own errors: fall back to taking the tags off
        seen.text = strip_tags(html)
    return seen


def _split_words(html: str) -> int:
    count = at = 0
    while match := _SPLIT_WORD.search(html, at + 1):  # a letter stands between two at most once
        count, at = count + 1, match.end()
    return count


def strip_tags(html: str) -> str:
    """The crude reading: tags, comments, scripts and styles off, entities left."""
    return _TAG.sub(" ", html)


def _bounded(html: str) -> tuple[str, bool]:
    cut = len(html) > MAX_CHARACTERS
    html = html[:MAX_CHARACTERS].replace("\0", "")
    if html.count("<") > MAX_TAGS:
        position = -1
        for _ in range(MAX_TAGS):
            position = html.find("<", position + 1)
        return html[:position], True
    return html, cut


class _Place(NamedTuple):
    """What an element means for what stands in it."""

    paint: Paint
    unseen: bool  # the paint's letters cannot be told from what is behind them
    hidden: bool = False
    dropped: bool = False  # by its own tag
    link: int = 0  # the innermost link that was opened around it, by its node's id
    depth: int = 0  # below that link


def _render(html: str, seen: Visible) -> None:
    tree = LexborHTMLParser(html)
    root = tree.root
    if root is None:
        return
    sheets = _sheets(tree) if "<style" in html.lower() else Sheets(frozenset(), False, False)
    paper: Paint = ((0, 0, 0), None if sheets.backgrounds else (255, 255, 255))
    page = _Place(paper, _unseen(paper))
    places: dict[int, _Place] = {}
    pieces: list[str] = []
    tags: set[str] = set()
    open_link: tuple[int, str, int] | None = None  # the link's node, its target, where its text starts in `pieces`
    for node in root.traverse(include_text=True):
        parent = node.parent
        outer = places.get(parent.mem_id, page) if parent is not None else page
        if open_link is not None and (outer.link != open_link[0] or outer.depth >= _DEEPEST_LINK):
            seen.links.append((open_link[1], "".join(pieces[open_link[2] :]).strip()[:300]))
            open_link = None
        tag = node.tag
        if tag == "-text":
            text = node.text_content or ""
            if not (outer.hidden or outer.unseen):
                pieces.append(text if text.strip() else " ")
            elif not outer.dropped:
                seen.hidden_characters += len(text.strip())
            continue
        if tag is None or tag.startswith(("-", "_", "!")):
            continue
        tags.add(tag)
        attributes = node.attributes
        paint, hidden, dropped = outer.paint, outer.hidden, tag in _DROPPED
        if attributes and (tag == "a" or not _PAINTING.isdisjoint(attributes)):
            paint = _painted(paint, tag, attributes, sheets)
        if not hidden:
            hidden = dropped or (bool(attributes) and _hides(tag, attributes, sheets.hidden))
        elif _SHOWING_FONT.search(attributes.get("style") or "") and parent is not None and not outer.dropped:
            hidden = not _only_small(parent)
        href = ""
        if tag in ("a", "area") and attributes.get("href"):
            href = (attributes["href"] or "").strip()[:2000]
            if hidden or tag == "area":
                seen.links.append((href, ""))
            else:
                open_link = (node.mem_id, href, len(pieces))
        elif tag == "form" and attributes.get("action"):
            seen.links.append(((attributes["action"] or "").strip()[:2000], ""))
        elif tag == "title" and not seen.title:
            seen.title = (node.text(deep=True) or "").strip()[:300]
        elif tag == "img":
            seen.images += 1
            seen.remote_images += (attributes.get("src") or "").strip().lower().startswith("http")
            if not hidden and attributes.get("alt"):
                pieces.append(f" {(attributes['alt'] or '')[:200]} ")
        if open_link is not None:
            inside, depth = (open_link[0], 0) if open_link[0] == node.mem_id else (outer.link, outer.depth + 1)
            places[node.mem_id] = _Place(paint, _unseen(paint), hidden, dropped, inside, depth)
        elif paint is outer.paint and hidden == outer.hidden and dropped == outer.dropped:
            places[node.mem_id] = outer
        else:
            places[node.mem_id] = _Place(paint, _unseen(paint), hidden, dropped)
        if tag in _BLOCKS:
            pieces.append("\n")
        elif tag in ("td", "th"):
            pieces.append(" ")
    if open_link is not None:
        seen.links.append((open_link[1], "".join(pieces[open_link[2] :]).strip()[:300]))
    seen.tags = frozenset(tags)
    seen.text = "".join(pieces)


def _only_small(node: object) -> bool:
    """True when the element hides by font size alone, which a child may undo."""
    style = node.attributes.get("style") or ""  # type: ignore[attr-defined]
    return not _HIDING_STYLE.search(re.sub(r"font-size\s*:[^;]*", "", style))


def _hides(tag: str, attributes: dict[str, str | None], hiding: frozenset[str]) -> bool:
    if "hidden" in attributes:
        return True
    style = attributes.get("style") or ""
    if style and (_style_hides(style) if len(style) <= _REMEMBERED else _style_hides.__wrapped__(style)):
        return True
    if tag == "font" and (attributes.get("size") or "").strip() in ("0", "-7"):
        return True
    if hiding and ("class" in attributes or "id" in attributes):
        names = {"." + name for name in (attributes.get("class") or "").split()}
        names.add("#" + (attributes.get("id") or ""))
        return not hiding.isdisjoint(names)
    return False


@lru_cache(maxsize=1024)
def _style_hides(style: str) -> bool:
    return bool(_HIDING_STYLE.search(style) or (_NO_ROOM.search(style) and _OVERFLOW.search(style)))


def _painted(paint: Paint, tag: str, attributes: dict[str, str | None], sheets: Sheets) -> Paint:
    """The colours within an element: as inherited, as its attributes and its style say."""
    letters, behind = paint
    styled = "class" in attributes or "id" in attributes
    if tag == "a" or (styled and sheets.colours):
        letters = None  # links have a colour of their own
    if styled and sheets.backgrounds:
        behind = None
    if value := attributes.get("color") or attributes.get("text"):
        letters = _colour(value)
    if value := attributes.get("bgcolor"):
        behind = _colour(value)
    if attributes.get("background"):
        behind = None  # a picture
    style = (attributes.get("style") or "")[:2000]
    coloured = style and ("color" in (low := style.lower()) or "background" in low)
    for name, value in _COLOUR.findall(style) if coloured else ():
        name, value = name.lower(), value.strip().lower()
        if "url(" in value or "gradient" in value:
            behind = None
        elif value.startswith(("inherit", "none", "initial", "unset")) or (name != "color" and value == "transparent"):
            continue
        elif name == "color":
            letters = _colour(value)
        elif name != "background-image":
            behind = _colour(value)
    return letters, behind


@lru_cache(maxsize=512)
def _colour(value: str) -> Colour:
    """A colour's parts, 0 to 255; what is not understood stays as it is written."""
    value = value.strip().lower()[:100]
    if match := _RGB.match(value):
        return int(match.group(1)), int(match.group(2)), int(match.group(3))
    value = value.split(None, 1)[0] if value else ""
    if value in _NAMED:
        return _NAMED[value]
    if match := _HEX.fullmatch(value):
        digits = match.group(1) if len(match.group(1)) == 6 else "".join(c + c for c in match.group(1))
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    return value


def _unseen(paint: Paint) -> bool:
    letters, behind = paint
    if letters == "transparent":
        return True
    if letters is None or behind is None:
        return False
    if isinstance(letters, str) or isinstance(behind, str):
        return letters == behind
    return max(abs(a - b) for a, b in zip(letters, behind, strict=True)) <= _NEAR


def _sheets(tree: LexborHTMLParser) -> Sheets:
    """The style sheets in the mail; rules inside @media are for other screens."""
    hidden: set[str] = set()
    colours = backgrounds = False
    for style in tree.css("style")[:10]:
        css = re.sub(r"/\*.*?(?:\*/|\Z)", "", (style.text(deep=True) or "")[:50_000], flags=re.S)
        colours, backgrounds = colours or "color" in css.lower(), backgrounds or "background" in css.lower()
        css = re.sub(r"@media[^{]{0,500}\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", css)
        for rule in css.split("}")[:-1]:
            selectors, brace, body = rule.rpartition("{")
            if brace and len(body) <= 1000 and _HIDING_STYLE.search(body):
                for selector in selectors.rpartition("{")[2][-300:].split(","):
                    match = _SIMPLE_SELECTOR.match(selector.strip())
                    if match:
                        hidden.add(match.group(1) + match.group(2))
    return Sheets(frozenset(hidden), colours, backgrounds)
