"""Announcing documents: request events that are read back as the sensor will read them before they are sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mineru_pipeline.documents.refs import is_unicode, public_uri
from mineru_pipeline.errors import RefusedMessageError
from mineru_pipeline.messaging import contents
from mineru_pipeline.messaging.broker import Message, MessageBroker, Outgoing, Partition
from mineru_pipeline.messaging.cloudevents import CloudEvent, to_structured
from mineru_pipeline.messaging.policy import Policy
from mineru_pipeline.messaging.refusal import Reason
from mineru_pipeline.messaging.requests import TYPE

SOURCE = "mineru-pipeline/submit"
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Announcement:
    """A document that is accepted, with the message that asks for it."""

    #: The address in its one canonical spelling.
    uri: str
    #: None leaves it to the settings of whoever reads the message.
    tenant: str | None
    #: The id of the event; the same document of the same tenant always has the same one.
    id: str
    message: Outgoing


def prepare(uris: Iterable[str], tenant: str | None, policy: Policy, topic: str) -> list[Announcement]:
    """Return what is to be sent, each address once, in the order given.

    Raises:
        RefusedMessageError: some are not accepted; names each of them, and why. It has the reason of the first.
    """
    found: dict[str, Announcement] = {}
    refused: list[tuple[str, contents.Refusal]] = []
    for uri in dict.fromkeys(uris):
        if not is_unicode(uri):
            # Written as a message it would be another address.
            refused.append((uri, contents.Refusal(str(Reason.INVALID_URI), "The address is not valid Unicode.")))
            continue
        # The first reading is for the canonical spelling, the second for what is really sent.
        said = _read_back(_outgoing(uri, tenant, topic), policy)
        if not said.refusals:
            announced = _outgoing(said.refs[0].uri, tenant, topic)
            said = _read_back(announced, policy)
        if said.refusals:
            refused.append((uri, said.refusals[0]))
            continue
        canonical = said.refs[0].uri
        found.setdefault(canonical, Announcement(canonical, tenant, _identity(canonical, tenant), announced))
    if refused:
        lines = [f"{public_uri(uri)}: {refusal.message} ({refusal.reason})" for uri, refusal in refused]
        raise RefusedMessageError(refused[0][1].reason, "\n".join([*lines, "Nothing was sent."]))
    return list(found.values())


def announce(broker: MessageBroker, topic: str, announcements: Sequence[Announcement]) -> None:
    """Send them; returns when the broker has acknowledged every one.

    Raises:
        MessagingError: some were not. Sending all of them again is safe: nothing is parsed twice.
    """
    # Or a broker might create the topic under a mistyped name, where nobody reads it.
    broker.watermarks((topic,))
    broker.send([announcement.message for announcement in announcements])


def _outgoing(uri: str, tenant: str | None, topic: str) -> Outgoing:
    data = {"uri": uri} | ({} if tenant is None else {"tenant": tenant})
    headers, value = to_structured(CloudEvent(_identity(uri, tenant), SOURCE, TYPE, data))
    # All that is asked of one document stays in order.
    return Outgoing(topic, uri, value, headers)


def _identity(uri: str, tenant: str | None) -> str:
    named = json.dumps([uri, tenant]).encode()
    return hashlib.sha256(named).hexdigest()[:_DIGITS]


def _read_back(message: Outgoing, policy: Policy) -> contents.Contents:
    return contents.read_message(Message(Partition(message.topic, 0), 0, message.value, message.headers), policy)
