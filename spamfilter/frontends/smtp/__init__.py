"""The SMTP relay: mail comes in, is scanned at the final dot, and goes on to the next hop or stays where it was.

`SmtpFrontend` is what the daemon starts. The promise it keeps is written in `custody`.
"""

from spamfilter.frontends.smtp.server import SmtpFrontend

__all__ = ["SmtpFrontend"]
