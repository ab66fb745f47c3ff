"""Where the admin's budgets meet the model's own table: which bundle serves, and under which thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spamfilter.classifier.bundle import Bundle, default_bundle
from spamfilter.config import Config, ConfigError, PolicySettings
from spamfilter.policy import Policy

DEFAULT_BUNDLE = "default"
MODELS = "models"
"""The folder below `state_dir` that holds further bundles."""
MEMORY = "memory.npz"
"""What the files below `state_dir` are named after by which workers know again what people have marked."""
CURRENT = "current"
"""The link in it whose text is the name of the activated one."""


def bundle_path(config: Config) -> Path:
    """The folder of the configured bundle: a path, a name below `state_dir/models`, or, for `default`, the one that was
    activated there, and the shipped one where none was (`bundles` writes that link).
    """
    name = config.model.bundle
    if name == DEFAULT_BUNDLE:
        try:
            name = str((config.path(MODELS) / CURRENT).readlink())
        except OSError:
            return default_bundle()
        return default_bundle() if name == DEFAULT_BUNDLE else config.path(MODELS) / name
    named = config.path(MODELS) / name
    return named if "/" not in name and named.is_dir() else config.path(name)


def resolve_policy(settings: PolicySettings, bundle: Bundle) -> Policy:
    """The policy in force: thresholds from the bundle's table for the budgets, unless they are set as numbers.

    Raises ConfigError for an `unsure_at` above the spam threshold, and BundleError where the table has no answer.
    """
    found = bundle.thresholds(
        max_false_positive_rate=settings.max_false_positive_rate, max_unsure_rate=settings.max_unsure_rate,
        spam_at=settings.spam_at, unsure_at=settings.unsure_at,
    )  # fmt: skip
    if found.unsure_at > found.spam_at:
        raise ConfigError(
            f"policy.unsure_at ({found.unsure_at}) lies above the spam threshold of {bundle.model_id} "
            f"({found.spam_at:.4f}); lower it, or set policy.spam_at as well"
        )
    return Policy(found, settings.actions, settings.failures)


def memory_path(config: Config) -> Path:
    """Beside which path each model's memory of corrections lies (`classifier.memory.file_of`)."""
    return config.path(MEMORY)


def serving_options(config: Config, policy: Policy) -> dict[str, Any]:
    """How the configured bundle is to be loaded: the options of `classifier.load`, as JSON values.

    Every way in uses them, so that a message gets one verdict whichever way it comes.
    """
    thresholds = policy.thresholds
    return {
        "turns_at": [thresholds.unsure_at, thresholds.spam_at],
        "cascade": config.engine.cascade,
        "campaigns": config.engine.campaigns,
        "campaign_s": config.engine.campaign_s,
        "memory": str(memory_path(config)),
    }
