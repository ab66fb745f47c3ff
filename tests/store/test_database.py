"""Opening and migrating: from nothing, from another version, by another process, half-way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable

from spamfilter.store import database
from spamfilter.store.database import SQLITE_NAME, StoreError, migrate, open_database, require_current, store_url
from spamfilter.store.history import Filter
from spamfilter.store.schema import HEAD, metadata
from spamfilter.store.tallies import UNSCANNED


def _tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_migrations_lead_to_the_schema(url: URL) -> None:
    engine = open_database(url, writer=True)
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        for name, table in metadata.tables.items():
            indexes = {index["name"] for index in inspect(connection).get_indexes(name)}
            assert indexes == {index.name for index in table.indexes}
    assert set(metadata.tables) == {"decisions", "hourly", "spreads", "labels", "examples", "samples", "audit"}
    engine.dispose()


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "spamfilter.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrating_twice_changes_nothing(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_database(url, writer=True)
    migrate(engine)
    monkeypatch.setattr(database, "_upgrade", lambda engine: pytest.fail("a current database was migrated"))
    migrate(engine)
    require_current(engine)
    engine.dispose()


def test_an_upgrade_that_breaks_leaves_no_half_made_table(
    url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade

    def broken(config: Config, revision: str) -> None:
        upgrade(config, revision)
        assert "decisions" in inspect(config.attributes["connection"]).get_table_names()
        raise SQLAlchemyError("power cut")

    engine = open_database(url, writer=True)
    monkeypatch.setattr(command, "upgrade", broken)
    with pytest.raises(StoreError, match="power cut"):
        migrate(engine)
    assert _tables(tmp_path / SQLITE_NAME) == set()
    monkeypatch.undo()
    migrate(engine)
    require_current(engine)
    engine.dispose()


def test_another_host_may_have_migrated_meanwhile(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = database._upgrade

    def overtaken(engine: object) -> None:
        upgrade(engine)  # type: ignore[arg-type]
        raise SQLAlchemyError("table decisions already exists")

    monkeypatch.setattr(database, "_upgrade", overtaken)
    engine = open_database(url, writer=True)
    migrate(engine)
    engine.dispose()


@pytest.mark.parametrize("use", [migrate, require_current])
def test_a_newer_database_is_left_alone(url: URL, use: object) -> None:
    engine = open_database(url, writer=True)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="written by a newer spamfilter"):
        use(engine)  # type: ignore[operator]
    engine.dispose()


def test_a_database_without_tables_is_said(url: URL, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / SQLITE_NAME)) as connection:
        connection.execute("CREATE TABLE other (x)")
    engine = open_database(url, writer=False)
    with pytest.raises(StoreError, match="holds no decision log"):
        require_current(engine)
    engine.dispose()


def test_urls(tmp_path: Path) -> None:
    assert store_url("", tmp_path).database == str(tmp_path / SQLITE_NAME)
    assert store_url("postgresql+psycopg://me:secret@db/mail", tmp_path).host == "db"
    with pytest.raises(StoreError, match=r"store\.url is not a SQLAlchemy URL"):
        store_url("my database", tmp_path)


def test_a_missing_driver_is_said_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"store\.url oracle://me:\*\*\*@db/mail cannot be used") as caught:
        open_database(store_url("oracle://me:secret@db/mail", tmp_path), writer=True)
    assert "secret" not in str(caught.value)


def test_postgresql_takes_the_same_tables_and_queries() -> None:
    dialect = postgresql.dialect()
    table = metadata.tables["decisions"]
    assert "TIMESTAMP WITH TIME ZONE" in str(CreateTable(table).compile(dialect=dialect))
    where = Filter(since=datetime.now(UTC), label=UNSCANNED, sender="x%", sha256="ab")
    query = str(select(table).where(*where.clauses()).compile(dialect=dialect))
    assert "decisions.label IS NULL" in query
    assert "decisions.parties LIKE" in query
    assert "ESCAPE" in query
