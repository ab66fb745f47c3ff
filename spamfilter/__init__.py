"""spamfilter: the mail filter that learns on your own machine."""

__version__ = "0.1.0"
