"""What headers, structure and text say of a mail, as named facts: present, absent or unknown.

Words learned in one mailbox mislead in another; the shape of a Message-ID does not. Rule engines carry over to foreign
mail because they look at such things, so these facts stand beside the text, each under a name that a person
understands. A group's function returns every one of its facts as True or False; a fact that no function
returned is unknown.
"""

from spamfilter.facts.addresses import address_of, link_host, registered
from spamfilter.facts.header import HEADER_FACTS, clean_subject, header_facts
from spamfilter.facts.structure import STRUCTURE_FACTS, structure_facts, text_links
from spamfilter.facts.text import TEXT_FACTS as SHAPE_FACTS
from spamfilter.facts.text import text_facts as shape_facts
from spamfilter.facts.topics import TOPIC_FACTS, topic_facts
from spamfilter.normalise import Normalised

VERSION = 2
"""Part of the extraction version: a bundle trained on other facts is refused."""

TEXT_FACTS: tuple[str, ...] = SHAPE_FACTS + TOPIC_FACTS
"""What the visible text says: always known."""

NAMES: tuple[str, ...] = HEADER_FACTS + STRUCTURE_FACTS + TEXT_FACTS

__all__ = [
    "HEADER_FACTS",
    "NAMES",
    "STRUCTURE_FACTS",
    "TEXT_FACTS",
    "VERSION",
    "address_of",
    "clean_subject",
    "header_facts",
    "link_host",
    "registered",
    "structure_facts",
    "text_facts",
    "text_links",
]


def text_facts(folded: Normalised, subject: str = "") -> dict[str, bool]:
    """Facts about the shape of a text, and about the topics that it and its subject name."""
    return shape_facts(folded) | topic_facts(folded.text, subject)
