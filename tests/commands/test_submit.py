"""``mineru-pipeline submit`` on a real broker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from announcements import POLICY
from click.testing import Result
from kafka_server import KafkaServer
from typer.testing import CliRunner

from bench.ports import free_port
from mineru_pipeline.cli import app
from mineru_pipeline.messaging.broker import Message, Partition
from mineru_pipeline.messaging.contents import read_message


def submit(environ: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, ["submit", *arguments], env=dict(environ))


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    return kafka.topic()


@pytest.fixture
def environ(kafka: KafkaServer, topic: str) -> dict[str, str]:
    return {
        "MINERU_PIPELINE__KAFKA__BOOTSTRAP_SERVERS": kafka.servers,
        "MINERU_PIPELINE__KAFKA__REQUESTS_TOPIC": topic,
        "MINERU_PIPELINE__KAFKA__TIMEOUT_SECONDS": "5",
        "MINERU_PIPELINE__INTAKE__BUCKETS": '["inbox"]',
    }


def test_what_is_submitted_arrives_as_the_sensor_reads_it(
    kafka: KafkaServer, topic: str, environ: dict[str, str]
) -> None:
    """Each address is one event, in canonical spelling and order, that the decoder takes as that tenant's document."""
    done = submit(environ, "s3://inbox/a.pdf", "s3://inbox/b%20%231.pdf", "s3://inbox/a.pdf", "--tenant", "acme")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert ["s3://inbox/a.pdf" in line for line in lines] == [True, False]
    read = [read_message(Message(Partition(topic, 0), 0, value), POLICY) for value in kafka.received(topic)]
    assert [(ref.uri, ref.tenant) for said in read for ref in said.refs] == [
        ("s3://inbox/a.pdf", "acme"),
        ("s3://inbox/b%20%231.pdf", "acme"),
    ]


def test_the_same_document_has_the_same_event_and_another_tenant_has_another(
    kafka: KafkaServer, topic: str, environ: dict[str, str]
) -> None:
    """Submitting again sends the same bytes; whose document it is makes another id."""
    ids = []
    for tenant in ([], [], ["--tenant", "acme"]):
        done = submit(environ, "s3://inbox/a.pdf", "--json", *tenant)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert found["topic"] == topic
        ids += [document["id"] for document in found["documents"]]
    first, second, third = kafka.received(topic)
    assert first == second != third
    assert ids == [json.loads(value)["id"] for value in (first, second, third)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["s3://inbox/a.pdf", "s3://elsewhere/b.pdf"], "forbidden-bucket"),
        (["file:///etc/passwd"], "forbidden-scheme"),
        (["s3://inbox/"], "invalid-uri"),
        (["s3://inbox/a.pdf", "--tenant", "Not A Tenant"], "invalid-tenant"),
        (["https://user:hunter2@host/a.pdf?key=hunter2"], "forbidden-scheme"),
        (["s3://inbox/a\udcff.pdf"], "invalid-uri"),
        (["s3://inbox/a.pdf", "--tenant", "a\udcff"], "invalid-tenant"),
    ],
)
def test_one_refused_address_keeps_everything_from_being_sent(
    kafka: KafkaServer, topic: str, environ: dict[str, str], arguments: list[str], reason: str
) -> None:
    """The refusal is the sensor's own, with its reason and no secret; the exit code is 2 and the topic stays empty."""
    done = submit(environ, *arguments)
    assert done.exit_code == 2
    assert f"({reason})" in done.output
    assert "hunter2" not in done.output
    assert ("not valid Unicode" in done.output) is ("\udcff" in arguments[0])
    assert kafka.received(topic) == []


def test_without_kafka_it_says_which_setting_is_missing(environ: dict[str, str]) -> None:
    """No broker in the settings is exit code 3 and names the setting."""
    del environ["MINERU_PIPELINE__KAFKA__BOOTSTRAP_SERVERS"]
    done = submit(environ, "s3://inbox/a.pdf")
    assert done.exit_code == 3
    assert "kafka.bootstrap_servers is not set" in done.output


def test_a_broker_that_is_down_and_a_missing_topic_are_told_apart(environ: dict[str, str]) -> None:
    """Either ends with 3 and says what to do; nothing is called announced."""
    missing = submit(environ | {"MINERU_PIPELINE__KAFKA__REQUESTS_TOPIC": "test-never-made"}, "s3://inbox/a.pdf")
    nobody = f"127.0.0.1:{free_port()}"
    down = submit(
        environ
        | {
            "MINERU_PIPELINE__KAFKA__BOOTSTRAP_SERVERS": nobody,
            "MINERU_PIPELINE__KAFKA__TIMEOUT_SECONDS": "1",
        },
        "s3://inbox/a.pdf",
    )
    assert (missing.exit_code, down.exit_code) == (3, 3)
    assert "test-never-made" in missing.output
    assert nobody in down.output
    assert "announced" not in missing.output + down.output


def test_without_a_bucket_no_document_could_be_accepted(environ: dict[str, str]) -> None:
    """The settings are at fault then, and the exit code is that of settings."""
    done = submit(environ | {"MINERU_PIPELINE__INTAKE__BUCKETS": "[]"}, "s3://inbox/a.pdf")
    assert done.exit_code == 2
    assert "intake.buckets is empty" in done.output
