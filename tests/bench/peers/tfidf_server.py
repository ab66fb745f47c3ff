"""The filter that a weekend makes: TF-IDF words and pairs, logistic regression, a small HTTP server, the stdlib's MIME.

    python -m tests.bench.peers.tfidf_server LIST PORT

LIST has a line a mail to learn from: `spam` or `ham`, a tab, its path. `POST /one` has a mail as its body, `POST /many`
paths, one a line, which are read, parsed and scored together. Answers are probabilities, one a line.
"""

from __future__ import annotations

import email
import re
import sys
from collections.abc import Sequence
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

_TAG = re.compile(r"<[^>]*>")


def text_of(raw: bytes) -> str:
    """Subject and text parts, by `email` with its default policy (compat32); HTML without its tags."""
    mail = email.message_from_bytes(raw)
    texts = [str(mail.get("subject", ""))]
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            texts.append(_decoded(part))
    return "\n".join(texts)


def _decoded(part: Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        text = content.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        text = content.decode("latin-1")
    return _TAG.sub(" ", text) if part.get_content_subtype() == "html" else text


class Model:
    """Fitted when it is made."""

    def __init__(self, raws: Sequence[bytes], spam: Sequence[bool]) -> None:
        self._words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        self._model = LogisticRegression(C=30.0, solver="liblinear", random_state=0)
        self._model.fit(self._words.fit_transform([text_of(raw) for raw in raws]), list(spam))

    def score(self, raws: Sequence[bytes]) -> list[float]:
        """The probability of spam by mail."""
        found = self._model.predict_proba(self._words.transform([text_of(raw) for raw in raws]))
        return [float(value) for value in found[:, 1]]


def handler(model: Model) -> type[BaseHTTPRequestHandler]:
    """A request handler with a model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            """Score."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            many = self.path == "/many"
            scores = model.score([Path(name).read_bytes() for name in body.decode().splitlines()] if many else [body])
            answer = "".join(f"{score:.6f}\n" for score in scores).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """A line a mail would cost time."""

    return Handler


def main() -> None:
    """Learn, then serve until killed."""
    rows = [line.split("\t") for line in Path(sys.argv[1]).read_text("utf-8").splitlines()]
    model = Model([Path(path).read_bytes() for _, path in rows], [label == "spam" for label, _ in rows])
    with HTTPServer(("127.0.0.1", int(sys.argv[2])), handler(model)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
