"""Folding: a reader's eye is not fooled by what this undoes, and honest text stays what it is."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spamfilter import normalise as normalising
from spamfilter.normalise import Normalised, normalise, squeezed

pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain text", Normalised("plain text"), id="plain"),
        pytest.param("a  b\t\tc \r\n\r\n\r\n\r\nd\re", Normalised("a b c \n\nd\ne"), id="blanks"),
        pytest.param("ｆｕｌｌ　ｗｉｄｔｈ ①", Normalised("full width 1"), id="compatibility"),
        pytest.param("v\u200bi\u200ba\u200bg\u200br\u200ba", Normalised("viagra", invisible=5), id="zero-width"),
        pytest.param("so\u00adft hy\u00adphen", Normalised("soft hyphen", invisible=2), id="soft-hyphen"),
        pytest.param("\ufeffbom \u202eright-to-left", Normalised("bom right-to-left"), id="marks"),
        pytest.param("Pаypаl", Normalised("Paypal", look_alikes=1), id="cyrillic-look-alikes"),
        pytest.param("Аpple іs hеre", Normalised("Apple is here", look_alikes=3), id="three-words"),
        pytest.param("Привет, Paypal", Normalised("Привет, Paypal"), id="cyrillic-words-stay"),
        pytest.param("你好 world", Normalised("你好 world"), id="chinese-stays"),
        pytest.param("prêt à porter", Normalised("pret à porter"), id="accents"),
        pytest.param("V I A G R A now", Normalised("VIAGRA now", spaced=1), id="spaced"),
        pytest.param("v.i.a.g.r.a / c-a-s-h", Normalised("viagra / cash", spaced=2), id="other-separators"),
        pytest.param("a b c", Normalised("a b c"), id="three-letters-are-honest"),
        pytest.param("U.S. e.g. i.e.", Normalised("U.S. e.g. i.e."), id="abbreviations"),
        pytest.param("a\0b\x07c\x7f", Normalised("abc"), id="control"),
        pytest.param("v\ufff9i\U0001d173a\u180egra", Normalised("viagra", invisible=3), id="rare-invisible"),
        pytest.param("c\u0336a\u0336s\u0336h\u0336 now", Normalised("cash now", look_alikes=1), id="struck-through"),
        pytest.param("ᴄʟɪᴄᴋ 𝐡𝐞𝐫𝐞 🅝🅞🅦", Normalised("click here NOW", look_alikes=3), id="letters-as-signs"),
        pytest.param("eхсluѕіvҽ ցift of Ꮮuck", Normalised("exclusive gift of Luck", look_alikes=3), id="more-scripts"),
        pytest.param("Ёхtra", Normalised("Extra", look_alikes=1), id="accented-look-alike"),
        pytest.param("сору of the рау slip", Normalised("сору of the рау slip"), id="two-foreign-words-stay"),
        pytest.param(
            "your саsh and the рау and сору",
            Normalised("your cash and the pay and copy", look_alikes=3),
            id="whole-words-beside-a-mixed-one",
        ),
        pytest.param("Нет, ок. The meeting is on", Normalised("Нет, ок. The meeting is on"), id="short-russian-stays"),
        pytest.param(
            "Москва: сто рост вам now, не кот Paypal а друг",
            Normalised("Москва: сто рост вам now, не кот Paypal а друг"),
            id="russian-stays",
        ),
        pytest.param("ẹ̀kọ́ за́мок", Normalised("eko замок"), id="accents-that-do-not-compose"),
        pytest.param("v · i · a · g · r · a", Normalised("viagra", spaced=1), id="spaced-signs"),
        pytest.param("ls -a -b -c -d", Normalised("ls -a -b -c -d"), id="options-stay"),
        pytest.param("m0ney and v1agra", Normalised("money and viagra", look_alikes=2), id="leet"),
        pytest.param("c@sh, ca$h, rep1ica: cl1ck", Normalised("cash, cash, replica: click", look_alikes=4), id="signs"),
        pytest.param("Micro$oft", Normalised("Microsoft"), id="one-leet-word-is-no-sign"),
    ],
)
def test_folding(text: str, expected: Normalised) -> None:
    assert normalise(text) == expected
    assert normalise(expected.text).text == expected.text


@pytest.mark.parametrize(
    "text",
    [
        "b2b mp3 mp3s 2nd h2o 3D WC1N3XX N3xx md5sum log4j utf8 x86 i18n py3k ext3fs s3cmd", "0xd0eb d0eb f1de",
        "http://a.example/c0ntact/x1y www.h0st.example", "root@localhost, ann@h0st.example, [roi@roi.example]",
        "a1 t0 3m w3c k3b p2p", "US$500 $5m 10am", "C:\\w1ndows\\x", "café mañana über", "x/y/z 1/2/3 a,b,c",
    ],
)  # fmt: skip
def test_codes_addresses_and_honest_accents_are_no_leet(text: str) -> None:
    assert normalise(text).look_alikes == 0
    assert [c for c in normalise(text).text if c.isdigit()] == [c for c in text if c.isdigit()]


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text(alphabet="aо.- \n\r\t\u200bé\0", max_size=40)))
def test_bounds(text: str) -> None:
    folded = normalise(text)
    assert "\r" not in folded.text and "\0" not in folded.text and "\n\n\n" not in folded.text
    assert "  " not in folded.text and folded.text == folded.text.strip()
    assert len(folded.text) <= 2 * len(unicodedata.normalize("NFKC", text))


@given(st.text(alphabet=st.characters(max_codepoint=126, min_codepoint=33), max_size=60))
def test_words_without_blanks_lose_no_letter(text: str) -> None:
    left = iter(normalise(text).text)
    assert all(c in left for c in text if c.isalpha())  # in order; letters may come in for digits


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "é",
        "аa",
        " ",
        "\n",
        " \n",
        "a ",
        "a.",
        "a-",
        ".",
        "-",
        "\u200b",
        "a\u200b",
        "\0",
        "_",
        "1",
        "\xa0",
        "a0",
        "a@",
        "a$b1",
        "abcd@",
        "a\u0336",
        "\u0336",
        "а",
        "нет ",
        "ᴀ",
        "𝐚",
        "a\u200b\u200b",
        " · ",
        "a · ",
    ],
)
def test_long_runs_take_one_pass(unit: str) -> None:
    normalise("é" + unit * (400_000 // len(unit)) + "!")


def test_padding_is_squeezed() -> None:
    assert squeezed("a" + " \n" * 50_000 + "b" + "\u200b" * 50_000 + "\xa0 \t" * 50_000 + "c") == "a \n\nb c"


READ = st.lists(
    st.sampled_from(
        [
            *"a b I v x . - · @ $ 0 1 3 _ é : / ( W B".split(" "),
            "",
            " ",
            " ",
            "\n",
            "m0ney",
            "c@sh",
            "ab",
            " - ",
            "user@",
        ]
    ),
    max_size=40,
).map("".join)


@given(READ)
def test_letters_at_signs_are_those_of_the_whole_pattern(text: str) -> None:
    whole = normalising._LEET.subn(normalising._letters, text)
    assert normalising._without_leet(text) == whole


@given(READ)
def test_no_spaced_word_is_missed_at_the_first_look(text: str) -> None:
    assert normalising._may_be_spaced(text) or not normalising._SPACED.search(text)


@given(st.text(alphabet=" \t\r\n\x0b\x1c\u2028\u3000ab", max_size=40))
def test_blanks_become_single(text: str) -> None:
    assert normalising._single_blanks(text) == re.sub(r"[^\S\n]+", " ", text)
