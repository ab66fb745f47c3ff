"""Experiments that set things side by side; each prints a table and keeps it as JSON in the run's folder."""
