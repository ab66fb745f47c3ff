"""The console: pages on which people see what the filter does, try it and correct it, in the daemon's own loop."""

from spamfilter.console.server import Console
from spamfilter.console.services import Services

__all__ = ["Console", "Services"]
