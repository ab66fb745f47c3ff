"""Errors made for people: what is wrong, where, and what to do. Commands show them as one line."""

from __future__ import annotations


class TrainerError(Exception):
    """An expected error; its text is shown as it is."""


class DataError(TrainerError):
    """Which file or row is missing or broken, and what to do."""


class RecipeError(TrainerError):
    """What is wrong in a recipe, a run's folder or a checkpoint, and what to do."""
