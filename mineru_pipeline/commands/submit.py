"""``mineru-pipeline submit``: announce documents on Kafka for the sensor to take in."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from mineru_pipeline.commands.text import printable
from mineru_pipeline.settings import Settings
from resources import messages


def submit(uris: Sequence[str], tenant: str | None, settings: Settings, *, as_json: bool, console: Console) -> None:
    """Announce the documents and say so, one line each.

    Raises:
        RefusedMessageError: an address or the tenant is not accepted; nothing was sent.
        SettingsError: no document whatever could be accepted.
        MessagingError: Kafka is not set or cannot be used, or did not acknowledge everything.
    """
    announced = messages.submit(settings, uris, tenant)
    for document in announced:
        console.print(f"[green]announced[/] {escape(printable(document.uri))}  id {document.id}", soft_wrap=True)
    if as_json:
        documents = [{"uri": document.uri, "tenant": document.tenant, "id": document.id} for document in announced]
        # Last, alone and on standard output, for programs.
        print(json.dumps({"topic": settings.kafka.requests_topic, "documents": documents}))  # noqa: T201  # the product of --json
