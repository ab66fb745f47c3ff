"""Alembic's folder: the store's tables as they came to be. Run by `spamfilter.store.database.migrate`."""
