"""Which bundle may be made to serve here: one that is whole, and has an answer for the policy of this host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spamfilter.bundles import Bundles, loads
from spamfilter.classifier.bundle import Bundle, BundleError, open_bundle
from spamfilter.config import Config, ConfigError
from spamfilter.operating_point import DEFAULT_BUNDLE, resolve_policy
from spamfilter.policy import Policy


def checked(config: Config, path: Path) -> tuple[Bundle, Policy]:
    """A bundle with its versions and hashes checked, and the policy for it. Raises BundleError, ConfigError."""
    bundle = open_bundle(path)
    bundle.verify()
    try:
        return bundle, resolve_policy(config.policy, bundle)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BundleError(f"{path}: its table of thresholds cannot be read: {error!r}") from None


def may_serve(config: Config) -> Callable[[Path], None]:
    """A check (self-test and all: a second) that raises BundleError or ConfigError where a bundle must not serve."""

    def check(path: Path) -> None:
        checked(config, path)
        loads(path)

    return check


def registry(config: Config) -> Bundles:
    """The registry, with the checks of a model that is to serve here. Raises ConfigError where it has no say."""
    if config.model.bundle != DEFAULT_BUNDLE:
        raise ConfigError(
            f"model.bundle is {config.model.bundle}, so that one serves whatever is activated; "
            "set model.bundle to default, and restart spamfilter serve"
        )
    return Bundles(config.state_dir.absolute(), check=may_serve(config))
