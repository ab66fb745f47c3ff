"""Files of secrets: whole or not there, one writer at a time, no temporary left."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from spamfilter.config import ConfigError
from spamfilter.console.security.private_file import PrivateFile, Values, write_private


def test_no_change_is_lost_among_many_writers(tmp_path: Path) -> None:
    def add(number: int) -> None:
        def change(values: Values) -> None:
            values[str(number)] = number

        PrivateFile(tmp_path / "sub" / "values.json").change(change)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(PrivateFile(tmp_path / "sub" / "values.json").values()) == 12
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["values.json", "values.lock"]


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = PrivateFile(tmp_path / "values.json")
    file.change(lambda values: values.update(a=1))

    def fails(values: Values) -> None:
        values["b"] = 2
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        file.change(fails)
    assert file.values() == {"a": 1}


def test_a_link_in_the_lock_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "values.lock").symlink_to(precious)
    with pytest.raises(ConfigError, match="cannot be written"):
        PrivateFile(tmp_path / "values.json").change(lambda values: values.update(a=1))
    assert precious.read_text() == "kept"


def test_writing_where_there_is_no_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write_private(tmp_path / "none" / "file", "x")
    assert [*tmp_path.iterdir()] == []
