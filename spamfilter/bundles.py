"""The registry of models below `state_dir/models`: which are installed, which one serves, and which served before.

    models/NAME/              an installed bundle; never changed once it has its name
    models/current            a link whose text is the name of the one that serves; `default` is the shipped one
    models/activations.jsonl  who made which one serve, when and why

Everything becomes true by one rename: kill -9 at any instant leaves the old state or the new one. The link is the
truth and the history its account, so the history is written after it, and healed from it where it lacks the last line.
The link to the shipped bundle is a name, not a path, because the package moves when it is upgraded.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from spamfilter import classifier
from spamfilter.classifier import bundle as shipped
from spamfilter.classifier.bundle import MANIFEST, Bundle, BundleError, open_bundle
from spamfilter.state_dir import sync_folder

DEFAULT = "default"
"""The name of the bundle that ships with the package: always there, never installed or pruned."""
MODELS = "models"
CURRENT = "current"
HISTORY = "activations.jsonl"
GATE_REPORT = "gate.json"
"""How a retrained model did against the one that served: kept beside the manifest's files, where there is one."""
_LOCK = ".lock"
_NEW, _GONE = ".new-", ".gone-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TAKEN = (DEFAULT, CURRENT)
_EPOCH = datetime.fromtimestamp(0, UTC)

Kind = Literal["activate", "rollback"]
Names = list[str]


def loads(path: Path) -> None:
    """Check a bundle as its workers will: versions, hashes, self-test. Takes a second. Raises BundleError."""
    classifier.load(path)


def is_whole(path: Path) -> None:
    """Check a bundle's versions and hashes, without loading it. Raises BundleError."""
    open_bundle(path).verify()


@dataclass(frozen=True, slots=True)
class Activation:
    """One line of the history: `name` began to serve at `time`, after `before`. `by` is a person or a part of us."""

    time: datetime
    name: str
    model_id: str
    before: str
    kind: Kind
    why: str
    by: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "time": self.time.isoformat(timespec="milliseconds")}


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is here. `activated` is when it last began to serve; `error` why it cannot be opened, or None."""

    name: str
    path: Path
    model_id: str
    error: str | None
    current: bool
    activated: datetime | None


Models = list[Installed]
History = list[Activation]


class Bundles:
    """The registry of one `state_dir`. Every method may be called from any process; those that write take turns.

    `check` is asked before a bundle is made to serve, and raises BundleError where it must not.
    """

    def __init__(self, state_dir: Path, *, check: Callable[[Path], None] = loads) -> None:
        self.folder = state_dir / MODELS
        self._check = check

    # ---- reading

    def link(self) -> str | None:
        """The name in the link `current`, in one system call; None where no model was ever activated."""
        try:
            return str((self.folder / CURRENT).readlink())
        except OSError:
            return None

    def current(self) -> Path | None:
        """The folder of the model that serves, whole or not; None where none was ever activated."""
        name = self.link()
        return None if name is None else self.path(name)

    def path(self, name: str) -> Path:
        """Where a model lies, or would."""
        return shipped.default_bundle() if name == DEFAULT else self.folder / name

    def names(self) -> Names:
        """The installed models, without the shipped one, by name."""
        try:
            with os.scandir(self.folder) as entries:
                found = [e.name for e in entries if _NAME.fullmatch(e.name) and e.name not in _TAKEN and e.is_dir()]
        except OSError:
            return []
        return sorted(found)

    def list(self) -> Models:
        """The shipped model and the installed ones."""
        current = self.link() or DEFAULT
        activated = {one.name: one.time for one in self.history()}
        found = []
        for name in (DEFAULT, *self.names()):
            path, model_id, error = self.path(name), "", None
            try:
                model_id = open_bundle(path).model_id
            except BundleError as damage:
                error = str(damage)
            found.append(Installed(name, path, model_id, error, name == current, activated.get(name)))
        return found

    def history(self) -> History:
        """Every activation, oldest first. A line that was torn by a crash is left out."""
        try:
            text = (self.folder / HISTORY).read_text("utf-8", "replace")
        except OSError:
            return []
        found = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                fields = json.loads(line)
                found.append(Activation(**{**fields, "time": datetime.fromisoformat(fields["time"])}))
        return found

    def before(self) -> Names:
        """What a rollback takes, best first: models that served before the current one and are still here.

        The shipped one is always the last of them, unless it serves. What was itself rolled back is none of them.
        """
        current = self.link() or DEFAULT
        there = {DEFAULT, *self.names()}
        below = [name for name in reversed(self._stack()) if name in there and name != current]
        return [*dict.fromkeys(below)]

    def _stack(self) -> Names:
        """The models that served, the shipped one first, without those from which a rollback led away."""
        stack = [DEFAULT]
        for one in self.history():
            if one.kind == "rollback" and one.name in stack:
                while stack[-1] != one.name:
                    stack.pop()
            elif stack[-1] != one.name:
                stack.append(one.name)
        return stack

    # ---- writing

    def install(self, folder: Path, *, keep_name: str | None = None) -> str:
        """Copy a whole bundle in; the name that it has here: its model id, or `keep_name`. It does not serve by that.

        A bundle that is here already is left alone, and mended where it is damaged. Raises BundleError.
        """
        bundle = open_bundle(folder)
        name = keep_name or bundle.model_id
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise BundleError(f"{name!r} cannot be the name of a model; give it another with --as NAME")
        with self._turn():
            target = self.folder / name
            if target.exists():
                self._make_room(target, bundle)
                if target.exists():
                    return name
            copy = self.folder / f"{_NEW}{name}-{secrets.token_hex(4)}"
            copy.mkdir(0o700)
            self._copy(bundle, copy)
            is_whole(copy)
            self._hand_over(copy)
            sync_folder(copy)
            copy.rename(target)
            sync_folder(self.folder)
        return name

    def activate(self, name: str, why: str, by: str) -> bool:
        """Make a model serve; False where it does already. Raises BundleError: then the old one goes on serving."""
        if name != DEFAULT and name not in self.names():
            known = ", ".join((DEFAULT, *self.names()))
            raise BundleError(f"no model {name!r} is installed (there are: {known}); `model install FOLDER` brings one")
        self._check(self.path(name))
        return self._swap(name, "activate", why, by)

    def rollback(self, why: str, by: str) -> str:
        """Make the model serve that did before the current one, or the next before that is whole; its name.

        Raises BundleError where there is none.
        """
        refused = []
        for name in self.before():
            try:
                self._check(self.path(name))
            except BundleError as error:
                refused.append(str(error))
                continue
            self._swap(name, "rollback", why, by)
            return name
        raise BundleError("; ".join(refused) or "no model served before this one; `model activate NAME` takes another")

    def withdraw(self, name: str, to: str, why: str, by: str) -> bool:
        """Put the link back from `name`, which does not serve after all, to what does; False where it has moved on."""
        return self._swap(to, "rollback", why, by, instead_of=name)

    def prune(self, keep: int, *, spare: Collection[str] = ()) -> Names:
        """Remove all but the `keep` models that served or came last; the names of those removed.

        The current one stays, the one that a rollback takes and those to `spare`, whatever `keep` is. Raises
        BundleError.
        """
        with self._turn():
            served = {one.name: one.time for one in self.history()}
            needed = {self.link() or DEFAULT, *self.before()[:1], *spare}
            names = self.names()
            names.sort(key=lambda name: (name in needed, max(served.get(name, _EPOCH), self._came(name))), reverse=True)
            removed = [name for index, name in enumerate(names) if index >= keep and name not in needed]
            for name in removed:
                self._remove(self.folder / name)
        return removed

    def heal(self) -> None:
        """Write the history's last line where a crash, or a hand, changed the link without it. Raises BundleError."""
        if self.folder.is_dir():
            with self._turn():
                pass

    def _swap(self, name: str, kind: Kind, why: str, by: str, *, instead_of: str | None = None) -> bool:
        with self._turn():
            before = self.link() or DEFAULT
            bundle = open_bundle(self.path(name))  # again: it may have been pruned since it was checked
            if before == name or instead_of not in (None, before):
                return False
            new = self.folder / f"{_NEW}{CURRENT}-{secrets.token_hex(4)}"
            new.symlink_to(name)
            self._hand_over(new)
            new.replace(self.folder / CURRENT)
            sync_folder(self.folder)
            self._note(Activation(datetime.now(UTC), name, bundle.model_id, before, kind, why, by))
        return True

    def _note(self, activation: Activation) -> None:
        path = self.folder / HISTORY
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            line = json.dumps(activation.as_json(), ensure_ascii=False) + "\n"
            os.write(descriptor, (b"\n" if torn else b"") + line.encode("utf-8", "replace"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._hand_over(path)
        sync_folder(self.folder)

    def _settle(self) -> None:
        """Sweep up what a killed process left, and give the link its line."""
        for entry in [*self.folder.iterdir()]:
            if entry.name.startswith((_NEW, _GONE)):
                _delete(entry)
        history = self.history()
        told, true = history[-1].name if history else DEFAULT, self.link() or DEFAULT
        if told == true:
            return
        try:
            model_id = open_bundle(self.path(true)).model_id
        except BundleError:
            model_id = ""
        # a name from below must not lead back up: where it is unknown which it was, it was a rollback
        kind: Kind = "rollback" if true in self._stack() else "activate"
        why = "found in service; whoever activated it ended before it was noted"
        self._note(Activation(datetime.now(UTC), true, model_id, told, kind, why, "unknown"))

    def _make_room(self, target: Path, bundle: Bundle) -> None:
        """Leave `target` where it is this bundle; take it away where it is a damaged copy of it. Raises BundleError."""
        try:
            there = open_bundle(target)
        except BundleError:
            self._remove(target)
            return
        if there.manifest["files"] != bundle.manifest["files"] or there.model_id != bundle.model_id:
            raise BundleError(f"{target}: another model has this name; give yours another with --as NAME")
        try:
            there.verify()
        except BundleError:
            self._remove(target)

    def _copy(self, bundle: Bundle, to: Path) -> None:
        extra = [GATE_REPORT] if (bundle.path / GATE_REPORT).is_file() else []
        for name in dict.fromkeys((*bundle.manifest["files"], *extra, MANIFEST)):
            try:
                data = (bundle.path / name).read_bytes()
            except OSError as error:
                raise BundleError(f"{bundle.path / name}: {error.strerror}; the bundle is not whole") from None
            descriptor = os.open(to / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._hand_over(to / name)

    def _remove(self, path: Path) -> None:
        """Take a model away: out of sight by one rename, then file by file."""
        gone = path.with_name(f"{_GONE}{path.name}-{secrets.token_hex(4)}")
        path.rename(gone)
        sync_folder(self.folder)
        _delete(gone)

    def _came(self, name: str) -> datetime:
        return datetime.fromtimestamp((self.folder / name).stat().st_mtime, UTC)

    def _hand_over(self, path: Path) -> None:
        """What root makes here belongs to the daemon's user, who must read it."""
        owner = self.folder.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Be the only one who writes; the lock goes with the process. Raises BundleError for the system's refusals."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hand_over(self.folder)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._hand_over(self.folder / _LOCK)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._settle()
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BundleError(
                f"{error.filename or self.folder}: {error.strerror or error}; the models are kept there: "
                "make room, or run this as the daemon's user"
            ) from None


def _delete(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
