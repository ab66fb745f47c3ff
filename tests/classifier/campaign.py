"""Two copies of one campaign as mailers vary them, and a message that has nothing to do with it."""

from __future__ import annotations

_HEAD = b"From: %s\nDate: Tue, 03 Feb 2026 10:00:00 +0000\nSubject: %s\n\n"
_BODY = (
    b"Dear %s, we have looked at the numbers of your web page and think that we can bring it to the first place of all "
    b"search engines within %d weeks. Our prices are fair, our work is honest, and you pay only if it works. Answer "
    b"this mail if you want an offer that you cannot refuse, and have a nice day.\n"
)
FIRST = _HEAD % (b"Ann <ann@first.example>", b"your web page") + _BODY % (b"John", 3)
NEXT = _HEAD % (b"Bob <bob@second.example>", b"more guests 4711") + _BODY % (b"Mary", 6)
FOREIGN = _HEAD % (b"Cleo <cleo@example.org>", b"lunch") + b"shall we have lunch on monday, the usual place at noon?\n"
