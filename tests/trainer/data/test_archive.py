"""Archives that are cut, damaged, mistaken or unreadable: what was whole is read, the rest is told."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.trainer.data.made import MAIL, folder, imported, tar
from trainer.data.archive import open_tree
from trainer.errors import DataError

NOISE = random.Random(0)
FILES = {f"spam/{i:03}": MAIL + NOISE.randbytes(3000) for i in range(60)}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2"])
def test_a_truncated_archive_gives_what_is_whole_and_says_where_it_ends(suffix: str, tmp_path: Path) -> None:
    files = {name: MAIL + random.Random(name).randbytes(20_000) for name in FILES}
    path = tar(tmp_path, files, suffix)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 4 // 5])
    found, report = imported(path, "spamassassin")
    assert 0 < len(found) < 60
    assert all(example.raw == files[example.path] for example in found)
    assert report.bad_by_reason == {"truncated or damaged": 1}
    assert report.first_bad[0].place.startswith(str(path))


def test_a_tar_cut_between_two_members_is_noticed(tmp_path: Path) -> None:
    path = tar(tmp_path, {"spam/1": MAIL, "spam/2": MAIL}, ".tar")
    path.write_bytes(path.read_bytes()[:1024])
    found, report = imported(path, "spamassassin")
    assert len(found) == 1
    assert "it ends without an end mark; the last member read is spam/1" in str(report.first_bad[0])


def test_an_index_in_a_truncated_archive_still_finds_what_is_there(tmp_path: Path) -> None:
    index = b"".join(b"spam %s\n" % name.encode() for name in FILES)
    path = tar(tmp_path, {"index": index, **FILES}, ".tar")
    path.write_bytes(path.read_bytes()[:80_000])
    found, report = imported(path, "trec")
    assert 0 < len(found) < 60
    assert report.bad_by_reason["truncated or damaged"] == 1
    assert report.bad_by_reason["missing file"] >= 60 - len(found) - 1


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"x\.tar\.gz: not a tar archive, or damaged from its beginning"):
        open_tree(path)
    path.write_bytes(tar(tmp_path, FILES, ".tar.gz").read_bytes()[:12])
    with pytest.raises(DataError, match="not a tar archive"):
        open_tree(path)
    zipped = tmp_path / "x.zip"
    zipped.write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="zip archives are not read"):
        open_tree(zipped)
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        open_tree(tmp_path / "nowhere")


def test_a_cut_gzip_file_in_a_folder_does_not_end_the_import(tmp_path: Path) -> None:
    import gzip

    cut = gzip.compress(b"ham\t" + NOISE.randbytes(5000).hex().encode() + b"\n")[:-200]
    root = folder(tmp_path, {"a.tsv.gz": cut, "b.tsv": b"spam\twin\n"})
    found, report = imported(root, "sms-tsv")
    assert [example.path for example in found] == ["b.tsv:1"]
    assert report.bad_by_reason == {"truncated or damaged": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_reported(tmp_path: Path) -> None:
    root = folder(tmp_path, {"spam/1": MAIL, "spam/2": MAIL})
    (root / "spam" / "1").chmod(0)
    found, report = imported(root, "spamassassin")
    assert [example.path for example in found] == ["spam/2"]
    assert "spam/1: cannot be read: Permission denied" in str(report.first_bad[0])


def test_links_and_folders_in_an_archive_are_no_members(tmp_path: Path) -> None:
    import tarfile

    path = tar(tmp_path, {"./spam/1": MAIL}, ".tar")
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("spam/2")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert [member.path for member in open_tree(path).members()] == ["spam/1"]
