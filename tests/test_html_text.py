"""HTML: what a reader sees is read, what he does not see is counted and left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spamfilter.html_text import MAX_CHARACTERS, MAX_TAGS, strip_tags, visible

pytestmark = pytest.mark.timeout(90)


def shown(markup: str) -> str:
    """Visible text with blanks joined."""
    return " ".join(visible(markup).text.split())


@pytest.mark.parametrize(
    "markup",
    [
        pytest.param('<p style="display:none">secret</p>', id="display"),
        pytest.param('<p style="DISPLAY : NONE !important">secret</p>', id="display-upper"),
        pytest.param('<p style="color:red;display:none">secret</p>', id="display-second"),
        pytest.param('<p style="visibility:hidden">secret</p>', id="visibility"),
        pytest.param('<p style="font-size:0">secret</p>', id="font-size-0"),
        pytest.param('<p style="font-size:0px;color:red">secret</p>', id="font-size-0px"),
        pytest.param('<p style="font-size: 1px">secret</p>', id="font-size-1px"),
        pytest.param('<p style="font-size:0.1em">secret</p>', id="font-size-tenth"),
        pytest.param('<p style="color:#fff;background-color:#FFF">secret</p>', id="same-colour"),
        pytest.param('<p style="color:white;background:white">secret</p>', id="same-colour-background"),
        pytest.param('<p style="opacity:0">secret</p>', id="opacity"),
        pytest.param('<p style="max-height:0px;overflow:hidden">secret</p>', id="max-height"),
        pytest.param('<p style="text-indent:-9999px">secret</p>', id="text-indent"),
        pytest.param('<p style="position:absolute;left:-5000px">secret</p>', id="off-screen"),
        pytest.param('<p style="mso-hide:all">secret</p>', id="mso-hide"),
        pytest.param("<p hidden>secret</p>", id="hidden-attribute"),
        pytest.param('<font color="#ffffff">secret</font>', id="white-on-the-page"),
        pytest.param('<p style="color:#FEFEFE">secret</p>', id="nearly-white"),
        pytest.param('<p style="color: rgb(255, 255, 255)">secret</p>', id="white-rgb"),
        pytest.param('<table bgcolor=black><tr><td><font color="#000">secret</font></table>', id="black-in-a-cell"),
        pytest.param(
            '<div style="background:#123456 repeat"><b style="color:#123456">secret</b></div>', id="inherited-ground"
        ),
        pytest.param('<p style="color:transparent">secret</p>', id="transparent"),
        pytest.param('<p style="opacity:0.01">secret</p>', id="nearly-transparent"),
        pytest.param('<p style="font:0/0 a">secret</p>', id="font-shorthand"),
        pytest.param('<p style="height:0;width:0;overflow:hidden">secret</p>', id="no-room"),
        pytest.param('<p style="clip:rect(0,0,0,0);position:absolute">secret</p>', id="clipped"),
        pytest.param('<p style="transform: scale(0)">secret</p>', id="scaled"),
        pytest.param('<font size="0">secret</font>', id="font-size-attribute"),
        pytest.param('<div style="display:none"><table><tr><td><b>secret</b></td></tr></table></div>', id="inherited"),
        pytest.param("<style>.x{display:none}</style><p class='a x'>secret</p>", id="class"),
        pytest.param("<style>p.x , .y{color:red;font-size:0px}</style><p class=y>secret</p>", id="class-list"),
        pytest.param("<style>/* c */ #x { visibility:hidden }</style><p id=x>secret</p>", id="id"),
        pytest.param("<style>.a{color:red} .x{display:none} .b{}</style><p class=x>secret</p>", id="one-of-rules"),
        pytest.param("<style>.x{display:none} /* open</style><p class=x>secret</p>", id="comment-not-closed"),
    ],
)
def test_hidden_text_is_counted_not_read(markup: str) -> None:
    page = visible(f"<p>before</p>{markup}<p>after</p>")
    assert page.text.split() == ["before", "after"]
    assert page.hidden_characters == len("secret")


@pytest.mark.parametrize(
    "markup",
    [
        "<script>secret</script>", "<style>secret</style>", "<!-- secret -->", "<head><title>secret</title></head>",
        "<template>secret</template>", "<textarea>secret</textarea>",
    ],
)  # fmt: skip
def test_what_is_no_text_is_neither_read_nor_counted(markup: str) -> None:
    page = visible(f"<p>before</p>{markup}<p>after</p>")
    assert page.text.split() == ["before", "after"]
    assert page.hidden_characters == 0


@pytest.mark.parametrize(
    "markup",
    [
        '<p style="display:block">word</p>', '<p style="font-size:10px">word</p>', '<p style="font-size:12pt">word</p>',
        '<p style="color:#fff;background-color:#000">word</p>', '<p style="opacity:0.9">word</p>',
        '<p style="line-opacity:0">word</p>', '<p style="max-height:100px">word</p>',
        "<style>.x{display:none}</style><p class=y>word</p>",
        "<style>@media print{.x{display:none}}</style><p class=x>word</p>",
        "<style>/* .x{display:none} */</style><p class=x>word</p>",
        '<td style="font-size:0px"><p style="font-size:14px">word</p></td>',
        '<p style="font-size:1em">word</p>', '<p style="font-size:0.8rem">word</p>', '<p style="font:9px a">word</p>',
        '<body bgcolor="#333"><font color=white>word</font>',
        '<body background=a.gif bgcolor=white><font color=white>word',
        '<div style="background:url(a.gif)"><font color=white>word</font></div>', '<p style="height:0">word</p>',
        "<style>.b{background:#000}</style><p class=b><font color=#fff>word</font></p>",
        "<style>body{background-color:#000}</style><p style='color:#fff'>word</p>",
        '<div style="color:#fff"><p style="color:#000">word</p></div>', '<font color=white><a href="#">word</a></font>',
        '<div style="background:linear-gradient(#000,#111)"><b style="color:#fff">word</b></div>',
        '<body bgcolor="" text="#000000"><p style="color:inherit">word</p>', '<p style="color:;background:">word</p>',
        '<div style="color:#fff;background:#000"><p style="background:transparent">word</p></div>',
        '<img alt="word">', "<p>w</b>ord", "<div><div>word", "word", "<p>wo\0rd</p>", "<notatag>word</notatag>",
    ],
)  # fmt: skip
def test_shown_text_is_read(markup: str) -> None:
    assert shown(markup) == "word"


def test_a_preheader_is_hidden() -> None:
    page = visible('<div style="display:none;max-height:0;overflow:hidden">Preview &zwnj;&nbsp;</div><p>Dear Ann</p>')
    assert page.text.strip() == "Dear Ann"
    assert page.hidden_characters >= len("Preview")


def test_blocks_part_lines_and_cells_part_words() -> None:
    page = visible("<p>one</p><p>two<br>three</p><table><tr><td>four</td><td>five</td></tr></table><p>six<b>th</b>")
    assert page.text.split() == ["one", "two", "three", "four", "five", "sixth"]
    assert [line.split() for line in page.text.split("\n") if line.strip()][1:3] == [["two"], ["three"]]


@pytest.mark.parametrize(
    ("markup", "links"),
    [
        ('<a href="http://a.example/x">Here <b>now</b></a> text', [("http://a.example/x", "Here now")]),
        ('<a href="http://a.example"><img src=x></a>', [("http://a.example", "")]),
        ('<a href="http://a.example">http://bank.example</a>', [("http://a.example", "http://bank.example")]),
        ('<div hidden><a href="http://a.example">x</a></div>', [("http://a.example", "")]),
        ('<a href="http://a.example">open', [("http://a.example", "open")]),
        ('<a href="  HTTP://A.example ">x</a>', [("HTTP://A.example", "x")]),
        ('<form action="http://a.example/f"><input></form>', [("http://a.example/f", "")]),
        ('<area href="http://a.example">', [("http://a.example", "")]),
        ("<a>no target</a><a href>none</a><a href=''>none</a>", []),
    ],
)
def test_links(markup: str, links: list[tuple[str, str]]) -> None:
    assert visible(markup).links == links


def test_counts() -> None:
    page = visible(
        "<title> A title </title><img src='http://x.example/a.gif'><img src='cid:1'><p>V<!-- x -->IA<b></b>GRA</p>"
    )
    assert (page.title, page.images, page.remote_images, page.split_words) == ("A title", 2, 1, 2)
    assert {"p", "img", "b"} <= page.tags
    assert not page.cut


def test_what_is_too_large_is_cut_and_said_so() -> None:
    page = visible("<p>start</p> " + "x" * MAX_CHARACTERS)
    assert page.cut and page.text.split()[0] == "start" and len(page.text) <= MAX_CHARACTERS
    page = visible("<p>start" + "<i>x</i>" * MAX_TAGS)
    assert page.cut and page.text.startswith("\nstart")


@pytest.mark.parametrize("unit", ["<", "<!--", "<script>", "</script ", "<style", ">", "<a ", "-->", "<!-", "< "])
def test_strip_tags_takes_one_pass(unit: str) -> None:
    assert isinstance(strip_tags(unit * (400_000 // len(unit)) + "!"), str)


def test_strip_tags() -> None:
    assert strip_tags("a<b>b</b><!-- c --><style>d</style>e&amp;<script>f").split() == ["a", "b", "e&amp;"]


PIECES = ["<", ">", "/", "=", "!", "-", '"', "'", " ", "{", "}", ":", ";", "\0", "é", "a", "style", "<p ", "</", "<!--"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([*PIECES, "display:none", "<a href=", "<style>", "@media", "&#"]), max_size=40).map(
        "".join
    )
)
def test_never_raises(markup: str) -> None:
    visible(markup)
    strip_tags(markup)
