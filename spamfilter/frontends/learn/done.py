"""Where dropped files go when all of them is learned: `done/YYYY-MM-DD/LABEL/`, for as long as learned mail is kept.

The folder's name is the day on which a file was learned, and what is kept too long goes by that name: a day at once.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from spamfilter.frontends.folder import disk, names
from spamfilter.frontends.folder.spool import Claimed
from spamfilter.state_dir import sync_folder

DONE = "done"


@dataclass(frozen=True, slots=True)
class Done:
    """The folder `done/`. Without `keep` nothing comes into it; `days` is for `prune` (0: for ever). Calls block."""

    folder: Path
    keep: bool = True
    days: int = 0

    def put_away(self, claimed: Claimed) -> Path | None:
        """Move what was learned below today's folder, or delete it. Its path there. Raises OSError."""
        if not self.keep:
            claimed.path.unlink()
            return None
        folder = self.folder / date.today().isoformat() / claimed.source.value
        folder.mkdir(parents=True, exist_ok=True)
        target = disk.link_new(claimed.path, folder / claimed.name, folder / names.with_id(claimed.name, claimed.id))
        sync_folder(folder)
        claimed.path.unlink(missing_ok=True)  # where there are no links it was renamed
        return target

    def prune(self, today: date) -> list[str]:
        """Delete the days before the last `days`; their names. What is named otherwise stays. Raises OSError."""
        if not self.days:
            return []
        oldest = today - timedelta(days=self.days)
        gone = sorted(path for path in self.folder.iterdir() if (day := _day(path)) is not None and day < oldest)
        for path in gone:
            shutil.rmtree(path)
        return [path.name for path in gone]


def _day(path: Path) -> date | None:
    """The day that a folder of ours is named by."""
    try:
        day = date.fromisoformat(path.name)
    except ValueError:
        return None
    return day if day.isoformat() == path.name and path.is_dir() and not path.is_symlink() else None
