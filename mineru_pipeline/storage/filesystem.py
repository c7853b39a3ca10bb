"""The object store in a folder: the default, which needs nothing but a file system."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from mineru_pipeline.errors import (
    InvalidKeyError,
    ObjectNotFoundError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)
from mineru_pipeline.storage.store import RESERVED_PREFIX, ObjectInfo, is_key, validate_key, validate_prefix

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What link(2) gives where the file system knows no hard links (FAT, some FUSE and network mounts).
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES})


class FilesystemStore:
    """Objects as files below ``root``, which is made when the first object is stored.

    An object is written to a temporary file in its own folder, synced, and only then given its
    name; a crash leaves at most a temporary file, which no listing shows. Below the root no symbolic
    link is followed, so nothing is read or written outside.
    """

    def __init__(self, root: Path | str, *, link: Callable[[str, str], None] = os.link) -> None:
        self.root = Path(os.path.realpath(root))
        self._link = link

    @property
    def address(self) -> str:
        """The root folder."""
        return str(self.root)

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` durably under ``key``, replacing what was there in one step."""
        path = self._path(key)
        with self._reported("write", path), self._written(path, data) as temporary:
            temporary.replace(path)
            _sync_directory(path.parent)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` unless ``key`` is taken; exactly one of several rivals gets True."""
        path = self._path(key)
        with self._reported("write", path):
            if path.is_file():
                return False
            with self._written(path, data) as temporary:
                won = self._give_name(temporary, path)
                _sync_directory(path.parent)
        return won

    def get(self, key: str) -> bytes:
        """Return the object's bytes; raises :class:`ObjectNotFoundError`."""
        path = self._path(key)
        try:
            with self._reported("read", path):
                return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ObjectNotFoundError(f"Nothing is stored under {key!r} in {self.root}.") from error

    def exists(self, key: str) -> bool:
        """Whether an object is stored under exactly this key."""
        path = self._path(key)
        with self._reported("read", path):
            return path.is_file()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with ``prefix``, sorted by key."""
        folder, _, start = validate_prefix(prefix).rpartition("/")
        top = self._path(folder) if folder else self.root
        with self._reported("list", top):
            yield from self._walk(top, f"{folder}/" if folder else "", start)

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        path = self._path(key)
        with (
            self._reported("delete", path),
            contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError),
        ):
            path.unlink()
            _sync_directory(path.parent)

    def uri(self, key: str) -> str:
        """Return the ``file://`` address of the object."""
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        path = self.root / validate_key(key)
        if os.path.realpath(path) != str(path):
            raise StoreUnavailableError(
                f"The store does not follow the symbolic link on the way to {path}. "
                "Replace the link by a real folder, or make the store's root point to where the data is."
            )
        return path

    @contextlib.contextmanager
    def _written(self, path: Path, data: bytes) -> Iterator[Path]:
        """Hold ``data`` in a synced temporary file beside ``path``, and remove that file at the end."""
        _make_directories(path.parent)
        temporary = path.parent / f"{RESERVED_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _give_name(self, temporary: Path, path: Path) -> bool:
        try:
            self._link(str(temporary), str(path))
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _rename_under_lock(temporary, path)
        return True

    def _walk(self, folder: Path, prefix: str, start: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(folder) as entries:
                # A folder sorts as "name/", because that is how the keys below it go on.
                found = sorted((e.name + "/" if e.is_dir(follow_symlinks=False) else e.name, e) for e in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, entry in found:
            if not name.startswith(start):
                continue
            if name.endswith("/"):
                yield from self._walk(folder / entry.name, prefix + name, "")
            elif entry.is_file(follow_symlinks=False) and is_key(prefix + name):
                with contextlib.suppress(FileNotFoundError):
                    stat = entry.stat(follow_symlinks=False)
                    yield ObjectInfo(prefix + name, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}", stat.st_mtime)

    @contextlib.contextmanager
    def _reported(self, doing: str, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if doing == "read" and isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
                raise
            raise self._failure(error, doing, path) from error

    def _failure(self, error: OSError, doing: str, path: Path) -> StoreError:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            return StoreFullError(
                f"The store at {self.root} has no room left for {path.name} ({reason}). Everything stored "
                "so far is whole: make room, or raise the quota, and start the same run again to resume it."
            )
        if isinstance(error, NotADirectoryError | IsADirectoryError | FileExistsError) and self.root.is_dir():
            return InvalidKeyError(f"Cannot {doing} {path}: a part of the key is an object, or the key a folder.")
        return StoreUnavailableError(
            f"Cannot {doing} {path} in the store at {self.root}: {reason}. "
            "Check that the folder exists, that its disk is mounted and that this user may write there."
        )


def _make_directories(folder: Path) -> None:
    """Make ``folder`` and its parents, each synced, so that a power cut cannot lose a named object."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync_directory(each.parent)


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder; the file itself is synced by then.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def _rename_under_lock(temporary: Path, path: Path) -> bool:
    """Name the file only if the name is free; a lock of the kernel dies with its holder, a lock file would not."""
    with (path.parent / f"{RESERVED_PREFIX}lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return False
        temporary.replace(path)
    return True
