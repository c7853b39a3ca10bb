"""Which documents may be announced: addresses outside of it are refused, whoever sends them."""

from __future__ import annotations

from dataclasses import dataclass

from mineru_pipeline.documents.local import path_of
from mineru_pipeline.errors import SourceError
from mineru_pipeline.messaging.refusal import Reason, refused
from mineru_pipeline.storage.addresses import SCHEME, object_uri, parse_object_uri


@dataclass(frozen=True, slots=True)
class Policy:
    """The schemes (``s3``, ``file``) and buckets that are allowed; whatever is not named is not."""

    schemes: frozenset[str]
    buckets: frozenset[str]

    def admitted(self, uri: str) -> str:
        """Return the address in its one canonical spelling; raises :class:`RefusedMessageError`."""
        scheme, separator, _ = uri.partition("://")
        if not separator or scheme not in self.schemes:
            allowed = ", ".join(f"{name}://" for name in sorted(self.schemes))
            raise refused(Reason.FORBIDDEN_SCHEME, f"Only addresses that start with {allowed} are accepted.")
        try:
            if scheme == SCHEME:
                return self.admitted_object(*parse_object_uri(uri))
            return path_of(uri).as_uri()
        except (SourceError, ValueError) as error:
            reason = str(error).removesuffix(".")
            raise refused(Reason.INVALID_URI, f"The address cannot be used: {reason}.") from None

    def admitted_object(self, bucket: str, key: str) -> str:
        """Return the address of an object in an allowed bucket; raises :class:`RefusedMessageError`."""
        if bucket not in self.buckets:
            raise refused(
                Reason.FORBIDDEN_BUCKET,
                f"The bucket {bucket[:80]!a} is not in intake.buckets; add it there if its documents shall be parsed.",
            )
        try:
            return object_uri(bucket, key)
        except UnicodeEncodeError:
            raise refused(Reason.INVALID_URI, "The key of the object is not valid Unicode.") from None
