"""The settings of where objects are kept, and of the S3 server that may keep them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, HttpUrl, SecretStr, TypeAdapter, field_validator, model_validator

from mineru_pipeline.settings_types import Pause, Seconds, Section

#: As S3 names buckets: the same rule as :func:`mineru_pipeline.storage.addresses.is_bucket_name`.
BUCKET = r"^[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]$"
_S3 = "s3://"


class StorageSettings(Section):
    """Where objects are kept."""

    backend: Literal["filesystem", "minio"] = Field(
        "filesystem", description="A folder, or a bucket of MinIO or any S3 server."
    )
    root: Path | None = Field(None, description="Folder of the file-system store; null is DATA_DIR/store.")
    bucket: str | None = Field(None, description="Bucket of the MinIO store; it must exist.")
    prefix: str = Field("", max_length=500, description="What all keys of the MinIO store start with, as a folder.")

    @field_validator("bucket")
    @classmethod
    def _check_bucket(cls, value: str | None) -> str | None:
        if value is not None and not is_bucket(value):
            raise ValueError("a bucket's name has 3 to 63 of a-z, 0-9, dot and hyphen")
        return value

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        trimmed = value.strip("/")
        if trimmed and {"", ".", ".."} & set(trimmed.split("/")):
            raise ValueError("a prefix is made of plain names with slashes between them")
        return trimmed


class MinioSettings(Section):
    """The S3-compatible server, and who asks there."""

    endpoint: str | None = Field(None, description="URL of its S3 API, such as http://host:9000.")
    region: str = Field("us-east-1", min_length=1, description="Region that requests are signed for; MinIO's default.")
    access_key: SecretStr | None = Field(None, description="Name of the key.")
    secret_key: SecretStr | None = Field(None, description="The key's secret.")
    ca_file: Path | None = Field(None, description="Certificates to trust, PEM; null trusts those of the system.")
    connection_timeout_seconds: Seconds = Field(5, description="Limit on opening a connection.")
    timeout_seconds: Seconds = Field(60, description="Limit on waiting for the next bytes of an answer.")
    retry_budget_seconds: Pause = Field(120, description="How long one call is repeated while the server is unwell.")

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parsed = TypeAdapter(HttpUrl).validate_python(value)
        if parsed.username or parsed.password:
            raise ValueError("put the credentials into minio.access_key and minio.secret_key, not into the URL")
        if parsed.path not in {None, "/"} or parsed.query or parsed.fragment:
            raise ValueError("the endpoint of an S3 server has neither path nor query; the bucket is storage.bucket")
        return str(parsed).rstrip("/")


class IntakeSettings(Section):
    """Where documents may come from."""

    schemes: tuple[Literal["s3", "file"], ...] = Field(
        ("s3",), min_length=1, description="Addresses that messages may name; file opens the workers' own disks."
    )
    buckets: tuple[str, ...] = Field(
        (), description="Buckets that documents may be read from; any other is refused, whoever names it."
    )

    watch: tuple[str, ...] = Field(
        (), description="Places to look for new PDFs: bucket or bucket/prefix; their buckets must be in intake.buckets."
    )
    tick_documents: Annotated[int, Field(ge=1, le=100_000)] = Field(
        2000, description="Documents that one look at the watched places may bring in; the rest waits for the next."
    )
    tick_seconds: Annotated[float, Field(gt=0, le=50)] = Field(
        30, description="Time for one look; a longer listing is gone on with. Dagster ends a sensor after 60 s."
    )
    reconcile: Literal["allowed", "watched"] = Field(
        "allowed",
        description="What is compared with the tables: the watched places and all of the other buckets, or those only.",
    )
    reconcile_grace_seconds: Annotated[float, Field(ge=0)] = Field(
        600, description="Younger objects are left to the sensors and announcements, which may be on their way."
    )

    @field_validator("buckets")
    @classmethod
    def _check_buckets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not is_bucket(name):
                raise ValueError("a bucket's name has 3 to 63 of a-z, 0-9, dot and hyphen")
        return value

    @model_validator(mode="after")
    def _check_watch(self) -> IntakeSettings:
        for place in self.watch:
            bucket, _, prefix = place.partition("/")
            if bucket not in self.buckets:
                raise ValueError(f"watch: bucket {bucket!r} is not among intake.buckets, so it must not be read")
            if {".", ".."} & set(prefix.split("/")) or prefix.startswith("/"):
                raise ValueError("watch: a prefix is a plain beginning of keys, such as papers/2026/")
        for place, other in itertools.permutations(self.watch, 2):
            if _covers(place, other):
                raise ValueError(f"watch: {other!r} lies within {place!r}, so its documents would be found twice")
        return self


def _covers(place: str, other: str) -> bool:
    """Whether every object of ``other`` is one of ``place``, too."""
    (bucket, _, prefix), (other_bucket, _, other_prefix) = place.partition("/"), other.partition("/")
    return bucket == other_bucket and other_prefix.startswith(prefix)


def is_bucket(name: str) -> bool:
    """Whether ``name`` can be the name of a bucket."""
    return re.fullmatch(BUCKET, name) is not None


def address_of(backend: str, root: Path, bucket: str | None, prefix: str) -> str:
    """Return what identifies a store, for people and for :func:`store_overrides`; it holds no credentials."""
    if backend == "filesystem":
        return str(root)
    return f"{_S3}{bucket or ''}/{quote(prefix)}".rstrip("/")


def store_overrides(address: str) -> dict[str, str]:
    """Return the settings, by dotted name, that lead to the store at ``address``: a folder or ``s3://bucket/prefix``."""
    if not address.startswith(_S3):
        return {"storage.backend": "filesystem", "storage.root": str(Path(address).absolute())}
    url = urlsplit(address)
    return {"storage.backend": "minio", "storage.bucket": url.netloc, "storage.prefix": unquote(url.path.strip("/"))}
