"""The settings of Kafka: where documents are announced, and where it is told what became of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from mineru_pipeline.settings_types import Count, Section

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]

#: Properties of librdkafka on which the promise rests that nothing is lost, and those that load foreign code.
FORBIDDEN = frozenset(
    {
        "acks",
        "allow.auto.create.topics",
        "auto.offset.reset",
        "bootstrap.servers",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "isolation.level",
        "metadata.broker.list",
        "message.timeout.ms",
        "plugin.library.paths",
        "request.required.acks",
        "transactional.id",
    }
)


class KafkaSettings(Section):
    """Which brokers and topics are read, and how much of them at once."""

    bootstrap_servers: str | None = Field(
        None, min_length=1, description="host:port, separated by commas. Unset: nothing is read from Kafka."
    )
    requests_topic: Topic | None = Field("mineru.documents.requests", description="Request events; null reads none.")
    notifications_topic: Topic | None = Field(None, description="Bucket notifications of MinIO; null reads none.")
    dead_letter_topic: Topic = Field("mineru.documents.dead-letters", description="Takes every message refused.")
    results_topic: Topic | None = Field(None, description="Told what became of each document; null tells nobody.")
    group_id: str = Field("mineru-pipeline", min_length=1, description="Group whose offsets show the lag.")
    max_messages: Count = Field(5000, description="Messages read in one evaluation of the sensor.")
    max_bytes: Annotated[int, Field(ge=1024, le=1024**3)] = Field(
        16 * 1024 * 1024, description="Bytes of messages read in one evaluation."
    )
    max_seconds: Annotated[float, Field(gt=0, le=30)] = Field(
        10, description="Time for reading in one evaluation; Dagster ends one after 60 s."
    )
    max_batches: Annotated[int, Field(ge=1, le=100)] = Field(20, description="Runs requested by one evaluation.")
    timeout_seconds: Annotated[float, Field(ge=1, le=30)] = Field(10, description="Limit on one answer of a broker.")
    options: dict[str, SecretStr] = Field(
        default_factory=dict, description="Properties of librdkafka, such as security.protocol and sasl.password."
    )

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, SecretStr]) -> dict[str, SecretStr]:
        forbidden = sorted(name for name in options if name in FORBIDDEN or name.startswith("test.mock."))
        if forbidden:
            raise ValueError(f"{', '.join(forbidden)} cannot be set: the pipeline relies on its own value")
        return options

    @model_validator(mode="after")
    def _check_topics(self) -> KafkaSettings:
        for name in ("dead_letter_topic", "results_topic"):
            if getattr(self, name) in self.topics:
                raise ValueError(f"{name} is read as a topic of documents; its messages would go in circles")
        return self

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics on which documents are announced, each once."""
        named = (self.requests_topic, self.notifications_topic)
        return tuple(dict.fromkeys(topic for topic in named if topic is not None))

    @property
    def plain_options(self) -> dict[str, str]:
        """The properties with their values, for the client alone."""
        return {name: value.get_secret_value() for name, value in self.options.items()}
