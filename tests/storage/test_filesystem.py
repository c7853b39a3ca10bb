"""What is special about the store in a folder: crashes, full disks, permissions, links."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mineru_pipeline.errors import InvalidKeyError, StoreFullError, StoreUnavailableError
from mineru_pipeline.storage import FilesystemStore

PUT_FOREVER = """
import sys
from mineru_pipeline.storage import FilesystemStore
store = FilesystemStore(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in b"abcdefgh":
        store.put("victim", bytes([letter]) * 3_000_000)
"""

PUT_TOO_MUCH = """
import resource, signal, sys
from mineru_pipeline.errors import StoreFullError
from mineru_pipeline.storage import FilesystemStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = FilesystemStore(sys.argv[1])
store.put("before", b"whole")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.put("after", bytes(1_000_000))
except StoreFullError as error:
    print(error)
"""


def rival(root: str, number: int, barrier: object, won: object) -> None:
    """Put the same key as every other process."""
    barrier.wait()  # type: ignore[attr-defined]  # multiprocessing's proxies are untyped
    if FilesystemStore(root).put_if_absent("k", b"%d" % number * 50_000):
        won.put(number)  # type: ignore[attr-defined]  # the same


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob(".tmp-*") if path.name != ".tmp-lock"]


def test_a_killed_writer_leaves_no_partial_object(tmp_path: Path) -> None:
    """Kill -9 in the middle of a put: the object is one whole version, and leftovers are not listed."""
    store = FilesystemStore(tmp_path)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", PUT_FOREVER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout as output:
            output.readline()
            while not leftovers(tmp_path):
                assert process.poll() is None
            process.kill()
            process.wait()
        if store.exists("victim"):
            data = store.get("victim")
            assert len(data) == 3_000_000
            assert len(set(data)) == 1
    assert {info.key for info in store.list("")} <= {"victim"}


def test_of_many_processes_exactly_one_wins(tmp_path: Path) -> None:
    """Processes that put the same absent key at once: one of them wins, and its bytes are stored."""
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(6), context.Queue()
    processes = [context.Process(target=rival, args=(str(tmp_path), n, barrier, won)) for n in range(6)]
    for process in processes:
        process.start()
    winner = won.get(timeout=60)
    for process in processes:
        process.join()
    assert won.empty()
    assert FilesystemStore(tmp_path).get("k") == b"%d" % winner * 50_000


def test_a_full_disk_is_named_and_resumable(tiny_disk: Path) -> None:
    """On a real full file system nothing partial stays, what was stored stays, and the error says what to do."""
    store = FilesystemStore(tiny_disk)
    store.put("before", b"whole")
    for put in (store.put, store.put_if_absent):
        with pytest.raises(StoreFullError, match="no room") as raised:
            put("after", bytes(2 << 20))
        assert str(tiny_disk) in str(raised.value)
        assert "resume" in str(raised.value)
    assert [info.key for info in store.list("")] == ["before"]
    assert leftovers(tiny_disk) == []
    store.put("after", b"there is room for this")


def test_a_limit_on_file_size_counts_as_full(tmp_path: Path) -> None:
    """Where the system limits a process's files instead of the disk, the error is the same."""
    done = subprocess.run(
        [sys.executable, "-c", PUT_TOO_MUCH, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "no room" in done.stdout
    assert [info.key for info in FilesystemStore(tmp_path).list("")] == ["before"]
    assert leftovers(tmp_path) == []


def test_no_temporary_file_stays_behind(tmp_path: Path) -> None:
    """Whether a put wins, loses or fails, its temporary file is gone afterwards."""
    store = FilesystemStore(tmp_path)
    store.put("a/b", b"x")
    store.put_if_absent("a/b", b"y")
    store.put_if_absent("a/c", b"y")
    assert leftovers(tmp_path) == []


def test_a_store_that_is_a_file_cannot_be_used(tmp_path: Path) -> None:
    """A root that is no folder gives an error that names it."""
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(StoreUnavailableError, match="file"):
        FilesystemStore(file).put("a", b"")


def test_a_folder_without_permission_cannot_be_used(tmp_path: Path) -> None:
    """A folder that may not be written gives an error that says so."""
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(StoreUnavailableError, match="may write"):
        FilesystemStore(tmp_path / "s").put("a", b"")


def test_a_read_only_place_cannot_be_used() -> None:
    """A file system that takes no files gives StoreUnavailableError, not a traceback."""
    if not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    with pytest.raises(StoreUnavailableError, match="/proc"):
        FilesystemStore("/proc/store").put("a", b"")


def test_a_key_below_an_object_is_refused(tmp_path: Path) -> None:
    """A file cannot also be a folder, and the error says that this is the matter."""
    store = FilesystemStore(tmp_path)
    store.put("a", b"x")
    with pytest.raises(InvalidKeyError, match="is an object"):
        store.put("a/b", b"y")
    store.put("c/d", b"x")
    with pytest.raises(InvalidKeyError, match="is an object"):
        store.put("c", b"y")


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Links below the root, wherever they lead, are refused and not listed; the root itself may be one."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    root = tmp_path / "root"
    root.mkdir()
    (root / "door").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    store = FilesystemStore(root)
    for key in ("door/secret", "file"):
        with pytest.raises(StoreUnavailableError, match="symbolic link"):
            store.get(key)
    with pytest.raises(StoreUnavailableError, match="symbolic link"):
        store.put("door/new", b"x")
    assert list(store.list("")) == []
    (tmp_path / "alias").symlink_to(root)
    FilesystemStore(tmp_path / "alias").put("a", b"x")
    assert store.get("a") == b"x"


def test_foreign_files_with_impossible_names_are_not_listed(tmp_path: Path) -> None:
    """What others leave in the folder under names that are no keys does not break a listing."""
    (tmp_path / "good").write_text("x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")).write_text("x")
    (tmp_path / "new\nline").write_text("x")
    assert [info.key for info in FilesystemStore(tmp_path).list("")] == ["good"]


def test_an_unreadable_object_is_not_a_missing_one(tmp_path: Path) -> None:
    """A disk error while reading is StoreUnavailableError, so that nobody parses the document again."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("there is no /proc here")
    with pytest.raises(StoreUnavailableError, match="Cannot read"):
        FilesystemStore(f"/proc/{os.getpid()}").get("mem")


def test_threads_may_make_the_same_new_folders_at_once(tmp_path: Path) -> None:
    """Threads that make the same new folders at once do not trip over each other."""
    store = FilesystemStore(tmp_path)
    barrier = threading.Barrier(8)
    failures: list[BaseException] = []

    def put(number: int) -> None:
        barrier.wait()
        try:
            store.put(f"x/y/z/{number}", b"1")
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            failures.append(error)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(store.list("x/y/z/"))) == 8
