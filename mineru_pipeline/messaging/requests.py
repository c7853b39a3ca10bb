"""Request events: somebody asks for a document to be parsed."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mineru_pipeline.documents.refs import (
    MAX_METADATA,
    MAX_METADATA_KEY,
    MAX_METADATA_VALUE,
    DocumentRef,
    metadata_pairs,
)
from mineru_pipeline.errors import SourceError
from mineru_pipeline.messaging.cloudevents import CloudEvent
from mineru_pipeline.messaging.policy import Policy
from mineru_pipeline.messaging.refusal import Reason, refused, schema_refusal
from mineru_pipeline.storage.layout import TENANT_PATTERN

TYPE = "mineru-pipeline.document.requested.v1"
ORIGIN = "kafka"
#: S3's own limit for one object, 5 TiB; whatever a request says beyond it is no size.
MAX_OBJECT_BYTES = 5 * 1024**4

_Text = Annotated[str, Field(min_length=1, max_length=1024)]
_Name = Annotated[str, Field(min_length=1, max_length=MAX_METADATA_KEY)]
_Value = Annotated[str, Field(max_length=MAX_METADATA_VALUE)]


class RequestData(BaseModel):
    """The data of a request. Unknown fields are refused: a mistyped ``tenant`` must not go to somebody else's."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    uri: Annotated[str, Field(min_length=1, max_length=8192)]
    version: _Text | None = None
    size: Annotated[int, Field(ge=0, le=MAX_OBJECT_BYTES)] | None = None
    etag: _Text | None = None
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)] | None = None
    metadata: Annotated[dict[_Name, _Value], Field(max_length=MAX_METADATA)] = Field(default_factory=dict)


def requested(event: CloudEvent, policy: Policy, received_at: str) -> DocumentRef:
    """Return the document that a request event names; raises :class:`RefusedMessageError`."""
    if event.type != TYPE:
        raise refused(Reason.UNKNOWN_TYPE, f"Events of the type {event.type[:120]!a} are not known; {TYPE} is.")
    try:
        data = RequestData.model_validate(event.data)
    except ValidationError as error:
        raise schema_refusal("data of the request", error) from None
    uri = policy.admitted(data.uri)
    try:
        return DocumentRef(
            uri=uri,
            size=data.size,
            etag=data.etag,
            version=data.version,
            received_at=received_at,
            origin=ORIGIN,
            tenant=data.tenant,
            metadata=metadata_pairs(data.metadata),
        )
    except SourceError as error:
        raise refused(Reason.INVALID_URI, str(error)) from None
