"""What every answer tells the browser to forbid: foreign code, frames, guesses at types, and copies of pages."""

from __future__ import annotations

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
ALWAYS: tuple[tuple[str, str], ...] = (
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)
_YEAR_S = 31_536_000


def response_headers(path: str, *, secure: bool) -> list[tuple[bytes, bytes]]:
    """The fields for an answer under `path`; `secure` where the browser came by HTTPS."""
    fields = [*ALWAYS]
    # a file may be kept, and asked for again by its ETag; a page shows mail and is forgotten
    fields.append(("cache-control", "no-cache" if path.startswith("/static/") else "no-store"))
    if secure:
        fields.append(("strict-transport-security", f"max-age={_YEAR_S}"))
    return [(name.encode(), value.encode()) for name, value in fields]
