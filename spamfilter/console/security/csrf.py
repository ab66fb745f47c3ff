"""Proof that a form is one of ours: a secret of the session comes back with each request that changes something."""

from __future__ import annotations

import hmac

from starlette.datastructures import UploadFile
from starlette.requests import Request

FIELD = "csrf"
HEADER = "x-csrf-token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def brings(request: Request, secret: str, *, most_bytes: int) -> bool:
    """True where header or form field hold `secret`. Reads a form, of which a field has at most `most_bytes`."""
    given = request.headers.get(HEADER)
    if given is None and request.headers.get("content-type", "").lower().startswith(_FORMS):
        field = (await request.form(max_files=4, max_fields=500, max_part_size=most_bytes)).get(FIELD)
        given = None if isinstance(field, UploadFile) else field
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
