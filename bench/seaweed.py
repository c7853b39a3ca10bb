"""Starts a real S3 server for a benchmark or a test: SeaweedFS on the loopback interface, in a process of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException

from bench.ports import free_ports
from mineru_pipeline.errors import StoreError
from mineru_pipeline.storage.minio import MinioStore
from mineru_pipeline.storage.s3 import S3Config, S3Connection

ACCESS_KEY, SECRET_KEY = "access-key-of-the-tests", "secret-key-of-the-tests"
START_SECONDS = 60
_PORTS = ("s3.port", "master.port", "filer.port", "volume.port")


@dataclass(frozen=True)
class S3Server:
    """A running server, and the keys of somebody who may do everything there."""

    endpoint: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    #: Whether a bucket can only be removed when it is empty; SeaweedFS removes it with all that is in it.
    keeps_full_buckets: bool = False

    @property
    def client(self) -> Minio:
        """The SDK, to see and to do what the code under test does not."""
        url = urlsplit(self.endpoint)
        return Minio(
            url.netloc, access_key=self.access_key, secret_key=self.secret_key, secure=url.scheme == "https",
            region="us-east-1",
        )  # fmt: skip

    def config(self, **changes: object) -> S3Config:
        """How our own client connects there."""
        given = {"endpoint": self.endpoint, "access_key": self.access_key, "secret_key": self.secret_key}
        # A loaded machine may keep a request waiting; a test that expects a failure brings a patience of its own.
        return S3Config(**{**given, "patience_seconds": 30.0, **changes})  # type: ignore[arg-type]

    def store(self, bucket: str, prefix: str = "", **changes: object) -> MinioStore:
        """Our own object store there."""
        return MinioStore(S3Connection(self.config(**changes)), bucket, prefix)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """A bucket that is removed in the end, with whatever is in it."""
        name, client = f"test-{secrets.token_hex(8)}", self.client
        client.make_bucket(name)
        try:
            yield name
        finally:
            if self.keeps_full_buckets:
                while items := list(client.list_objects(name, recursive=True, include_version=True)):
                    for item in items:
                        client.remove_object(name, str(item.object_name), item.version_id)
            client.remove_bucket(name)

    def environment(self, bucket: str, prefix: str = "") -> dict[str, str]:
        """What makes the command use a store in ``bucket``."""
        return {
            "MINERU_PIPELINE__STORAGE__BACKEND": "minio",
            "MINERU_PIPELINE__STORAGE__BUCKET": bucket,
            "MINERU_PIPELINE__STORAGE__PREFIX": prefix,
            **self.access(),
        }

    def access(self) -> dict[str, str]:
        """What lets the command in at this server."""
        return {
            "MINERU_PIPELINE__MINIO__ENDPOINT": self.endpoint,
            "MINERU_PIPELINE__MINIO__ACCESS_KEY": self.access_key,
            "MINERU_PIPELINE__MINIO__SECRET_KEY": self.secret_key,
        }


class Seaweed:
    """The program with its data in one folder; both these and its addresses outlive a kill and another start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = dict(zip([*_PORTS, *(f"{name}.grpc" for name in _PORTS)], free_ports(8), strict=True))
        self.server = S3Server(f"http://127.0.0.1:{self._ports['s3.port']}")
        # Not below the folder: the names of sockets may not have more than 108 bytes.
        self._sockets = Path(tempfile.mkdtemp(prefix="s3-"))
        self._process: subprocess.Popen[bytes] | None = None
        # Read from the working directory: one volume for a new bucket in place of seven, which take their time.
        (folder / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")

    @property
    def filer(self) -> str:
        """Where its own log of all changes can be read (``weed filer.meta.tail``)."""
        return f"127.0.0.1:{self._ports['filer.port']}.{self._ports['filer.port.grpc']}"

    def start(self) -> None:
        """Start it and wait until it stores what it is given."""
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        log = self.folder / "weed.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command(), env=environment, stdout=output, stderr=output, cwd=self.folder
            )
        _wait(self.server, self._process, log)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=30)

    def close(self) -> None:
        """End it for good; its data stay."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _command(self) -> list[str]:
        return [
            weed(), "-logtostderr", "mini", f"-dir={self.folder}",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *(f"-{name}={port}" for name, port in self._ports.items()),
            f"-s3.localSocket={self._sockets}/s3", f"-filer.localSocket={self._sockets}/filer",
            # Nothing that the tests do not need, and no report to its makers.
            "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            # A missing bucket must be an error, as it is with everybody else.
            "-s3.autoCreateBucket=false",
            # Each bucket takes some volumes, which take no room before they are filled.
            "-master.volumeSizeLimitMB=64", "-volume.max=2000",
        ]  # fmt: skip


def weed() -> str:
    """Return where the program is."""
    return str(Path(sys.executable).with_name("weed"))


@contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """A server with its data in ``folder``, ended by its process id."""
    program = Seaweed(folder)
    try:
        program.start()
        yield program.server
    finally:
        program.close()


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-3000:]}")
        try:
            # It answers before it can store anything, so it is asked to store something, each time somewhere else.
            with server.bucket() as name:
                server.store(name, patience_seconds=0.0).put("ready", b"x")
                return
        except (urllib3.exceptions.HTTPError, MinioException, StoreError):
            time.sleep(0.05)
