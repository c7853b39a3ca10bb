"""Discovery and reading of local files: nothing is missed in silence, whatever the names."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mineru_pipeline.documents.discovery import discover
from mineru_pipeline.documents.local import path_of
from mineru_pipeline.documents.manifest import batch_key_for_folder
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.documents.source import read_source, sha256_hex
from mineru_pipeline.errors import RejectedDocumentError, SourceError

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ODD_NAMES = [
    "a b.pdf",
    "100%.pdf",
    "a#b?c.pdf",
    "ümlaut 漢字.pdf",
    "new\nline.pdf",
    "quote'\".pdf",
    "%41.pdf",
    "-x.pdf",
]


def found(*paths: Path) -> list[str]:
    return [path_of(ref.uri).name for ref in discover(paths, received_at=NOW)]


def write(path: Path, data: bytes = b"%PDF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_folders_are_searched_for_pdfs_at_any_depth(tmp_path: Path) -> None:
    """Every ``*.pdf`` counts, in capitals too and also in hidden folders; other files do not."""
    for name in ("b.pdf", "sub/deep/a.PDF", ".hidden/c.Pdf", "notes.txt", "pdf", "x.pdf.bak"):
        write(tmp_path / name)
    (tmp_path / "folder.pdf").mkdir()
    assert sorted(found(tmp_path)) == ["a.PDF", "b.pdf", "c.Pdf"]


def test_a_named_file_counts_whatever_its_name(tmp_path: Path) -> None:
    """Whoever names a file means it."""
    assert found(write(tmp_path / "scan.bin")) == ["scan.bin"]


def test_the_same_file_counts_once(tmp_path: Path) -> None:
    """A file named and found, or named twice, is one document; the order is that of the addresses."""
    file = write(tmp_path / "a.pdf")
    other = write(tmp_path / "b.pdf")
    assert found(other, tmp_path, file, file) == ["a.pdf", "b.pdf"]


def close(path: Path) -> None:
    """Take every permission away, where that means something."""
    path.chmod(0)
    if os.access(path, os.R_OK):
        path.chmod(0o700)
        pytest.skip("this user may read everything")


@pytest.mark.parametrize("name", [os.fsencode(name) for name in ODD_NAMES] + [b"bad-\xff.pdf"], ids=ascii)
def test_odd_names_lead_back_to_their_file(tmp_path: Path, name: bytes) -> None:
    """Each name becomes an address in plain ASCII that is read back to the same file."""
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(name)
    (ref,) = discover([tmp_path], received_at=NOW)
    assert ref.uri.isascii()
    assert DocumentRef.from_json(ref.to_json()) == ref
    assert read_source(ref, 1000) == name


def test_a_reference_tells_the_state_of_its_file(tmp_path: Path) -> None:
    """Size, etag, time of modification and of receipt are there, and the etag follows the file."""
    file = write(tmp_path / "a.pdf", b"12345")
    os.utime(file, ns=(0, 1_700_000_000_000_000_001))
    (ref,) = discover([file], received_at=NOW)
    assert (ref.size, ref.etag, ref.origin) == (5, "5-1700000000000000001", "folder")
    assert (ref.received_at, ref.modified_at) == ("2026-03-04T05:06:07Z", "2023-11-14T22:13:20Z")


def test_the_same_folder_is_the_same_batch(tmp_path: Path) -> None:
    """Listing again later gives the same batch key; a changed file gives another."""
    file = write(tmp_path / "a.pdf")
    key = batch_key_for_folder(discover([tmp_path], received_at=NOW), "default")
    assert batch_key_for_folder(discover([tmp_path / "." / "a.pdf"], received_at=datetime.now(UTC)), "default") == key
    os.utime(file, ns=(1, 1))
    assert batch_key_for_folder(discover([tmp_path], received_at=NOW), "default") != key


def test_circles_of_links_end(tmp_path: Path) -> None:
    """Links to a parent or to each other do not trap the search, and linked folders are searched once."""
    write(tmp_path / "a/x.pdf")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "loop.pdf").symlink_to(tmp_path / "loop.pdf")
    assert sorted(set(found(tmp_path))) == ["loop.pdf", "x.pdf"]
    assert found(tmp_path).count("x.pdf") == 1


def test_a_broken_link_in_a_folder_is_an_entry_that_fails(tmp_path: Path) -> None:
    """What cannot be read is listed all the same, and says why when it is read."""
    (tmp_path / "gone.pdf").symlink_to(tmp_path / "nowhere")
    (ref,) = discover([tmp_path], received_at=NOW)
    assert ref.size is None
    with pytest.raises(SourceError) as raised:
        read_source(ref, 1000)
    assert raised.value.reason == "source-missing"


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    """A path that does not exist, or is a link in a circle, is an error with the path in it."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name in ("nothing", "circle"):
        with pytest.raises(SourceError, match=name) as raised:
            discover([tmp_path / name], received_at=NOW)
        assert raised.value.reason in {"source-missing", "source-unreadable"}


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    """Nobody could tell which documents are missed, so it is an error and not a shorter list."""
    write(tmp_path / "closed/a.pdf")
    close(tmp_path / "closed")
    try:
        with pytest.raises(SourceError, match="closed") as raised:
            discover([tmp_path], received_at=NOW)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert raised.value.reason == "source-unreadable"


def test_a_file_without_permission_is_an_entry_that_fails(tmp_path: Path) -> None:
    """It is listed with its size, and reading it says that it is unreadable."""
    file = write(tmp_path / "secret.pdf")
    close(file)
    (ref,) = discover([tmp_path], received_at=NOW)
    with pytest.raises(SourceError, match="permissions") as raised:
        read_source(ref, 1000)
    assert raised.value.reason == "source-unreadable"


def test_a_file_that_changed_after_it_was_listed_is_not_read(tmp_path: Path) -> None:
    """Other bytes than the listed ones are another document: the entry fails and says so."""
    for change in (b"longer than before", b"%pdf"):
        file = write(tmp_path / "a.pdf")
        os.utime(file, ns=(0, 0))
        (ref,) = discover([file], received_at=NOW)
        file.write_bytes(change)
        with pytest.raises(SourceError, match="changed") as raised:
            read_source(ref, 1000)
        assert raised.value.reason == "source-changed"


def test_size_alone_is_checked_where_there_is_no_etag(tmp_path: Path) -> None:
    """A reference from elsewhere may know the size only, or nothing at all."""
    file = write(tmp_path / "a.pdf")
    assert read_source(DocumentRef(file.as_uri(), None, None, None, "2026-01-01T00:00:00Z", "kafka"), 1000) == b"%PDF"
    with pytest.raises(SourceError, match="changed"):
        read_source(DocumentRef(file.as_uri(), 5, None, None, "2026-01-01T00:00:00Z", "kafka"), 1000)


def test_a_deleted_file_is_missing(tmp_path: Path) -> None:
    """A file that went away since it was listed is told apart from an unreadable one."""
    file = write(tmp_path / "a.pdf")
    (ref,) = discover([file], received_at=NOW)
    file.unlink()
    with pytest.raises(SourceError, match=r"a\.pdf") as raised:
        read_source(ref, 1000)
    assert raised.value.reason == "source-missing"


def test_too_many_bytes_are_rejected_before_they_are_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte is turned away at once; a file of exactly the limit is read."""
    file = tmp_path / "huge.pdf"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)
    (ref,) = discover([file], received_at=NOW)
    with pytest.raises(RejectedDocumentError, match="1099511627776") as raised:
        read_source(ref, 1000)
    assert raised.value.reason == "too-many-bytes"
    (ref,) = discover([write(tmp_path / "fits.pdf", b"x" * 1000)], received_at=NOW)
    assert len(read_source(ref, 1000)) == 1000


def test_a_pipe_that_nobody_writes_to_does_not_hang(tmp_path: Path) -> None:
    """Something that is called a PDF and is no file at all fails at once."""
    os.mkfifo(tmp_path / "pipe.pdf")
    (ref,) = discover([tmp_path], received_at=NOW)
    outcome: list[str] = []

    def read() -> None:
        try:
            read_source(ref, 1000)
        except SourceError as error:
            outcome.append(f"{error.reason}: {error}")

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(timeout=30)
    assert outcome
    assert "not a regular file" in outcome[0]


@pytest.mark.parametrize("uri", ["http://me:pw@host/a.pdf?sig=1", "s3://b/k", "file://server/a.pdf", "file:///a%00b"])
def test_other_addresses_are_not_read(uri: str) -> None:
    """Only local files are read, and the refusal shows no credentials."""
    ref = DocumentRef(uri, None, None, None, "2026-01-01T00:00:00Z", "kafka")
    with pytest.raises(SourceError) as raised:
        read_source(ref, 1000)
    assert raised.value.reason == "source-unreadable"
    assert "pw" not in str(raised.value)
    assert "sig" not in str(raised.value)


def test_identity_is_the_sha256() -> None:
    """The well-known hash of no bytes."""
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
