"""What the console must be told: the seam to the configuration, which satisfies it without being known here."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Protocol

from spamfilter.config import Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxySettings(Protocol):
    """A reverse proxy that signs people in. `header` names the field with the user's name; "" where there is none.

    Nothing that the proxy says is believed but from `trusted_peers`; `role` is what its users may do.
    """

    @property
    def header(self) -> str: ...
    @property
    def trusted_peers(self) -> Sequence[Network]: ...
    @property
    def role(self) -> str: ...


class ConsoleSettings(Protocol):
    """The section `console`; `defaults.yaml` says what each option means. Times are in seconds.

    `runs` is the folder of trainings that are begun here, `data` that of the corpora, "" where there are none.
    """

    @property
    def enabled(self) -> bool: ...
    @property
    def listen(self) -> Address: ...
    @property
    def hosts(self) -> Sequence[str]: ...
    @property
    def tls_certificate(self) -> str: ...
    @property
    def tls_key(self) -> str: ...
    @property
    def session_idle_s(self) -> float: ...
    @property
    def session_s(self) -> float: ...
    @property
    def runs(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def proxy(self) -> ProxySettings: ...
