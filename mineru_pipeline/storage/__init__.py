"""The object store: a port, its adapters, and the layout of the keys in it."""

from mineru_pipeline.storage.filesystem import FilesystemStore
from mineru_pipeline.storage.store import ObjectInfo, ObjectStore, validate_key, validate_prefix

__all__ = ["FilesystemStore", "ObjectInfo", "ObjectStore", "validate_key", "validate_prefix"]
