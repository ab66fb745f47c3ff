"""What Alembic runs for each upgrade: the steps, on the connection that `database.migrate` hands over.

One transaction holds them all, so that a machine that loses power in between finds the old tables, whole.
"""

from alembic import context

from spamfilter.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
