"""Corpora to labelled and unlabelled text."""
