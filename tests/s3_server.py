"""A real S3 server for tests: SeaweedFS on the loopback interface, or the one that a variable names."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException

from mineru_pipeline.errors import StoreError
from mineru_pipeline.storage.minio import MinioStore
from mineru_pipeline.storage.s3 import S3Config, S3Connection

#: A URL with credentials, such as ``http://key:secret@host:9000``; the tests make buckets there and remove them.
OTHER = os.environ.get("MINERU_PIPELINE_TEST_S3", "")
ACCESS_KEY, SECRET_KEY = "access-key-of-the-tests", "secret-key-of-the-tests"
START_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """A running server, and the keys of somebody who may do everything there."""

    endpoint: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    @property
    def client(self) -> Minio:
        """The SDK, to see and to do what the code under test does not."""
        url = urlsplit(self.endpoint)
        return Minio(
            url.netloc, access_key=self.access_key, secret_key=self.secret_key, secure=url.scheme == "https",
            region="us-east-1",
        )  # fmt: skip

    def config(self, **changes: object) -> S3Config:
        given = {"endpoint": self.endpoint, "access_key": self.access_key, "secret_key": self.secret_key}
        # A loaded machine may keep a request waiting; a test that expects a failure brings a patience of its own.
        return S3Config(**{**given, "patience_seconds": 30.0, **changes})  # type: ignore[arg-type]

    def store(self, bucket: str, prefix: str = "", **changes: object) -> MinioStore:
        return MinioStore(S3Connection(self.config(**changes)), bucket, prefix)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """A bucket for one test; whatever is in it goes with it."""
        name, client = f"test-{secrets.token_hex(8)}", self.client
        client.make_bucket(name)
        try:
            yield name
        finally:
            if OTHER:
                # Our own server removes a bucket with all that is in it.
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


def other_server() -> S3Server:
    """The server that the variable names."""
    url = urlsplit(OTHER)
    assert url.hostname, "MINERU_PIPELINE_TEST_S3 must be a URL such as http://key:secret@host:9000"
    assert url.username, "MINERU_PIPELINE_TEST_S3 must hold credentials: http://key:secret@host:9000"
    host = url.netloc.rpartition("@")[2]
    return S3Server(f"{url.scheme}://{host}", unquote(url.username), unquote(url.password or ""))


@contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS in a process of its own, with its data in ``folder``, ended by its process id."""
    # Not below the folder of the test: the names of sockets may not have more than 108 bytes.
    sockets = Path(tempfile.mkdtemp(prefix="s3-"))
    # Read from the working directory: one volume for a new bucket in place of seven, which take their time.
    (folder / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n")
    port, command = _command(folder, sockets)
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=folder)
    try:
        server = S3Server(f"http://127.0.0.1:{port}")
        _wait(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)
        shutil.rmtree(sockets)


def _command(folder: Path, sockets: Path) -> tuple[int, list[str]]:
    names = ("s3.port", "master.port", "filer.port", "volume.port")
    ports = dict(zip([*names, *(f"{name}.grpc" for name in names)], free_ports(8), strict=True))
    command = [
        str(Path(sys.executable).with_name("weed")), "-logtostderr", "mini", f"-dir={folder}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *(f"-{name}={port}" for name, port in ports.items()),
        f"-s3.localSocket={sockets}/s3", f"-filer.localSocket={sockets}/filer",
        # Nothing that the tests do not need, and no report to its makers.
        "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        # A missing bucket must be an error, as it is with everybody else.
        "-s3.autoCreateBucket=false",
        # Each bucket takes some volumes, which take no room before they are filled.
        "-master.volumeSizeLimitMB=64", "-volume.max=2000",
    ]  # fmt: skip
    return ports["s3.port"], command


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
        try:
            # It answers before it can store anything, so it is asked to store something, each time somewhere else.
            with server.bucket() as name:
                server.store(name, patience_seconds=0.0).put("ready", b"x")
                return
        except (urllib3.exceptions.HTTPError, MinioException, StoreError):
            time.sleep(0.05)


@contextmanager
def s3_servers(folder: Path) -> Iterator[S3Server]:
    """The server of a test session."""
    if OTHER:
        yield other_server()
        return
    with seaweed(folder) as server:
        yield server
