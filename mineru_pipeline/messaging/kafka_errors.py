"""Kafka's error codes as errors of ours, with what to do."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaError

from mineru_pipeline.errors import (
    BrokerAccessError,
    BrokerUnavailableError,
    MessagingError,
    SettingsError,
    UnknownTopicError,
)

_ACCESS = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_UNKNOWN = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._QUEUE_FULL,
    KafkaError._WAIT_COORD,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
}


def explained(error: KafkaError, trouble: KafkaError | None, what: str, servers: str) -> MessagingError:
    """Return our error for Kafka's.

    Args:
        error: what the request ended with.
        trouble: what was said of the connections meanwhile; a login that fails looks like a time-out otherwise.
        what: what was asked for.
        servers: whom we asked.
    """
    cause = trouble if trouble is not None and trouble.code() in _ACCESS else error
    said = f"{what}: {cause.str()}"
    if trouble is not None and trouble is not cause:
        # "Failed to get metadata" alone tells nobody that a port is closed, or speaks no TLS.
        said += f" ({trouble.str()})"
    if cause.code() in _ACCESS:
        return BrokerAccessError(
            f"Kafka at {servers} does not let us: {said}. Check kafka.options (security.protocol, sasl.*, ssl.*), and "
            "the rights of the account: read the topics of documents, write those of dead letters and results, and use "
            "the group."
        )
    if cause.code() in _UNKNOWN:
        return UnknownTopicError(
            f"Kafka at {servers} does not have it: {said}. Create the topic, or correct its name in the section kafka."
        )
    if cause.code() in _AWAY:
        return BrokerUnavailableError(
            f"Kafka at {servers} does not answer: {said}. Check kafka.bootstrap_servers and that the brokers are up; "
            "nothing is lost, the next evaluation goes on from the same offsets."
        )
    return MessagingError(f"Kafka at {servers} failed: {said} ({cause.name()}).")


def settings_error(error: KafkaError, options: Mapping[str, str]) -> SettingsError:
    """Return the error for properties that librdkafka refuses; their values are taken out of its text."""
    text = error.str()
    for value in sorted(options.values(), key=len, reverse=True):
        text = text.replace(value, "********") if value else text
    return SettingsError(f"kafka.options: {text}")
