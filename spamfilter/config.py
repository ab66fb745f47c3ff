"""Every option in one place: `defaults.yaml`, an admin's file over it, the environment over both.

A mistake is answered with where it stands, and with the nearest name that exists.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import socket
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spamfilter.headers import Dialect, Markup, Report
from spamfilter.verdict import Action, FailureKind, Label

ENV_PREFIX = "SPAMFILTER__"
MIB = 1024 * 1024
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ConfigError(Exception):
    """What is wrong, where, and what to do; made to be shown as it is."""


class Address(BaseModel):
    """A TCP endpoint, or a Unix socket when `path` is set."""

    model_config = ConfigDict(frozen=True)
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `HOST:PORT`, `[::1]:PORT` or `unix:/path`. Raises ValueError."""
        if text.startswith("unix:"):
            if not text[5:].startswith("/"):
                raise ValueError(f"{text!r}: a Unix socket is written unix:/absolute/path")
            return cls(path=text[5:])
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r}: an address is written HOST:PORT, for example 127.0.0.1:10025")
        return cls(host=host, port=int(port))

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Section(BaseModel):
    """A part of the configuration: no unknown keys, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["text", "json"]


class RollbackSettings(Section):
    enabled: bool
    corrections: int = Field(ge=1)
    margin: float = Field(ge=0, le=1)
    sigmas: float = Field(gt=0)
    days: int = Field(ge=1)
    every_s: float = Field(gt=0)


class ModelSettings(Section):
    bundle: str
    keep: int = Field(ge=1)
    shadow_share: float = Field(gt=0, le=1)
    rollback: RollbackSettings


class PolicySettings(Section):
    max_false_positive_rate: float = Field(gt=0, le=0.5)
    max_unsure_rate: float = Field(gt=0, le=0.5)
    spam_at: float | None = Field(ge=0, le=1)
    unsure_at: float | None = Field(ge=0, le=1)
    actions: dict[Label, Action]
    failures: dict[FailureKind, Literal[Action.ACCEPT, Action.TEMPFAIL]]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.spam_at is not None and self.unsure_at is not None and self.unsure_at > self.spam_at:
            raise ValueError(f"unsure_at ({self.unsure_at}) must not lie above spam_at ({self.spam_at})")
        return self


class HeaderSettings(Section):
    dialects: tuple[Dialect, ...]
    report: Report


class EngineSettings(Section):
    workers: int = Field(ge=1, le=64)
    batch: int = Field(ge=1, le=256)
    deadline_s: float = Field(gt=0)
    queue_messages: int = Field(ge=1)
    queue_mib: int = Field(ge=1)
    max_message_mib: int = Field(ge=1)
    recycle_after: int = Field(ge=1)
    cascade: bool
    campaigns: int = Field(ge=0)
    campaign_s: float = Field(gt=0)


class SmtpSettings(Section):
    enabled: bool
    listen: Address
    next_hop: Address | None
    maildir: str
    quarantine: str
    max_size_mib: int = Field(ge=1)
    max_sessions: int = Field(ge=1)
    max_in_flight_mib: int = Field(ge=1)
    client_timeout_s: float = Field(gt=0)
    connect_timeout_s: float = Field(gt=0)
    reply_timeout_s: float = Field(gt=0)
    final_timeout_s: float = Field(gt=0)
    keep_connections: int = Field(ge=0)
    keep_idle_s: float = Field(ge=0)
    keep_messages: int = Field(ge=1)
    trusted_peers: tuple[Network, ...]
    max_received: int = Field(ge=1)
    max_recipients: int = Field(ge=1)

    @field_validator("listen", "next_hop", mode="before")
    @classmethod
    def _address(cls, value: object) -> object:
        if isinstance(value, str):
            return Address.parse(value) if value else None
        return value


class FolderSettings(Section):
    enabled: bool
    path: str
    rescan_s: float = Field(gt=0)
    settle_s: float = Field(ge=0)
    min_free_mib: int = Field(ge=0)
    concurrency: int = Field(ge=1)


class LearnFolderSettings(Section):
    enabled: bool
    path: str
    rescan_s: float = Field(gt=0)
    settle_s: float = Field(ge=0)
    min_free_mib: int = Field(ge=0)
    keep_done: bool


class LearnMaildirSettings(Section):
    maildirs: tuple[str, ...]
    junk: tuple[str, ...]
    ignored: tuple[str, ...]
    move_window_s: float = Field(gt=0)
    rescan_s: float = Field(gt=0)


class LearnSettings(Section):
    key: str
    keep_raw: bool
    retention_days: int = Field(ge=0)
    remember: int = Field(ge=0)
    folders: LearnFolderSettings
    maildir: LearnMaildirSettings


class RetrainSettings(Section):
    least_new: int = Field(ge=1)
    every_days: float = Field(gt=0)
    memory_mib: int = Field(ge=512)
    activate: Literal["auto", "ask"]
    network: Literal["head", "last-block", "lora"]
    run: str
    unlabelled: float = Field(ge=0, le=1)


class ConsoleProxySettings(Section):
    header: str
    trusted_peers: tuple[Network, ...]
    role: Literal["viewer", "operator", "admin"]


class ConsoleSettings(Section):
    enabled: bool
    listen: Address
    hosts: tuple[str, ...]
    tls_certificate: str
    tls_key: str
    session_idle_s: float = Field(gt=0)
    session_s: float = Field(gt=0)
    runs: str
    data: str
    proxy: ConsoleProxySettings

    @field_validator("listen", mode="before")
    @classmethod
    def _address(cls, value: object) -> object:
        return Address.parse(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key go together: set both, or none")
        if self.proxy.header and not self.proxy.trusted_peers:
            raise ValueError("proxy.header is believed from proxy.trusted_peers only: name the proxy's network there")
        return self


class SamplingSettings(Section):
    share: float = Field(ge=0, le=1)
    keep: int = Field(ge=0)
    days: int = Field(ge=0)


class StoreSettings(Section):
    url: str
    retention_days: int = Field(ge=0)
    keep_days: int = Field(ge=0)


class Config(Section):
    """The whole configuration. `path()` resolves names of files against `state_dir`."""

    state_dir: Path
    hostname: str
    log: LogSettings
    model: ModelSettings
    policy: PolicySettings
    headers: HeaderSettings
    engine: EngineSettings
    smtp: SmtpSettings
    folder: FolderSettings
    learn: LearnSettings
    retrain: RetrainSettings
    console: ConsoleSettings
    sampling: SamplingSettings
    store: StoreSettings

    def path(self, name: str) -> Path:
        """`name` below `state_dir`, unless it is absolute."""
        return self.state_dir / name

    @property
    def host(self) -> str:
        """The configured host name, or this machine's."""
        return self.hostname or socket.gethostname() or "localhost"

    @property
    def markup(self) -> Markup:
        """How this configuration marks mail."""
        return Markup(self.host, self.headers.dialects)


def defaults() -> dict[str, Any]:
    """The shipped defaults as plain data."""
    text = resources.files("spamfilter").joinpath("defaults.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def load(path: Path | None = None, *, environ: Mapping[str, str] | None = None, **overrides: object) -> Config:
    """Defaults, then the file at `path`, then the environment, then `overrides` (`smtp__listen="..."`).

    Raises ConfigError with the file, the key and the nearest valid key.
    """
    merged = defaults()
    if path is not None:
        merged = _merge(merged, _read(path), str(path))
    for name, text in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(ENV_PREFIX):
            keys = name[len(ENV_PREFIX) :].lower().split("__")
            merged = _merge(merged, _nest(keys, _yaml_value(text)), name)
    for name, value in overrides.items():
        merged = _merge(merged, _nest(name.split("__"), value), f"--{name.replace('__', '.')}")
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, str(path or "configuration"))) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, found a {type(loaded).__name__}")
    return loaded


def _yaml_value(text: str) -> object:
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        return text  # `[::1]:10025` is no YAML, and a fine address


def _nest(keys: list[str], value: object) -> dict[str, Any]:
    nested: Any = value
    for key in reversed(keys):
        nested = {key: nested}
    return dict(nested)


def _merge(base: dict[str, Any], over: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        name = f"{prefix}{key}"
        if key not in base:
            near = difflib.get_close_matches(str(key), [str(k) for k in base], n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known here: {', '.join(map(str, base))}"
            raise ConfigError(f"{where}: unknown key {name}; {hint}")
        if isinstance(base[key], dict):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {name} holds several keys ({', '.join(base[key])}), not {value!r}")
            merged[key] = _merge(base[key], value, where, f"{name}.")
        else:
            merged[key] = value
    return merged


def _explain(error: ValidationError, where: str) -> str:
    lines = []
    for detail in error.errors():
        key = ".".join(str(part) for part in detail["loc"]) or "configuration"
        message = detail["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {key}: {message} (found {detail['input']!r})"[:400])
    return "\n".join(lines)
