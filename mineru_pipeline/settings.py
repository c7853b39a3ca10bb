"""Every setting of the pipeline, read from a YAML file and the environment; nothing else reads either.

Order of precedence, strongest first: values passed to :func:`load`, the environment
(``MINERU_PIPELINE__SECTION__KEY``), the YAML file (``MINERU_PIPELINE_CONFIG`` or
``mineru_pipeline.yaml`` in the working directory), the defaults below.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.settings_alerts import AlertSettings
from mineru_pipeline.settings_backfills import BackfillSettings
from mineru_pipeline.settings_file import flatten, nest, read_yaml
from mineru_pipeline.settings_kafka import KafkaSettings
from mineru_pipeline.settings_model_server import HttpClientSettings, VLLMServerSettings
from mineru_pipeline.settings_storage import IntakeSettings, MinioSettings, StorageSettings, address_of
from mineru_pipeline.settings_types import Count, Seconds, Section, Share
from mineru_pipeline.storage.layout import TENANT_PATTERN

ENV_PREFIX = "MINERU_PIPELINE__"
ENV_CONFIG_FILE = "MINERU_PIPELINE_CONFIG"
DEFAULT_CONFIG_FILE = "mineru_pipeline.yaml"
MASK = "********"


def project_root() -> Path:
    """The folder that holds ``workspace.yaml``: of the checkout, or else the working directory."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "workspace.yaml").is_file() else Path.cwd()


class WorkerSettings(Section):
    """How much one run takes on."""

    count: Annotated[int, Field(ge=1, le=1000)] = Field(
        2, description="Documents rendered at once in a run, each in a process of its own; the server sets the pace."
    )
    batch_size: Annotated[int, Field(ge=1, le=1000)] = Field(200, description="Documents in a batch, so in a run.")
    timeout_seconds: Seconds = Field(4 * 3600, description="A run that takes longer stops in a resumable state.")


class RenderingSettings(Section):
    """What the model sees of a page; part of the extraction revision."""

    dpi: Annotated[int, Field(ge=36, le=600)] = Field(200, description="Pixels an inch at which pages are rendered.")
    max_long_edge_px: Annotated[int, Field(ge=200, le=10_000)] = Field(
        3500, description="Longest edge of a rendered page; larger pages are rendered at fewer pixels an inch."
    )


class ParsingSettings(Section):
    """How answers become documents."""

    text_layer_fallback: bool = Field(
        default=True, description="Use the PDF's own text where the model failed; off leaves a marked gap."
    )


class LimitSettings(Section):
    """What a document may cost; beyond it the document is rejected or degraded, nothing else suffers."""

    max_bytes: Annotated[int, Field(ge=1)] = Field(
        256 * 1024 * 1024, description="Larger files are rejected (too-many-bytes)."
    )
    max_pages: Count = Field(2000, description="Documents with more pages are rejected (too-many-pages).")
    max_page_edge_pt: Annotated[float, Field(gt=0)] = Field(14_400, description="Longest page edge, 1/72 inch.")
    seconds_per_page: Seconds = Field(30, description="Limit on opening a file and on rendering one page.")
    memory_mib: Annotated[int, Field(ge=128, le=1_048_576)] = Field(
        1024, description="Memory limit of the render child."
    )


class ChecksSettings(Section):
    """Limits of the asset checks."""

    max_failure_rate: Share = Field(0.05, description="Share of a batch's documents that may fail.")
    min_text_layer_agreement: Share = Field(0.8, description="Below it, a document draws a warning.")


class MetricsSettings(Section):
    """Where a run shows its Prometheus metrics while it parses."""

    port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="Port of /metrics; null serves nothing, 0 takes a free port and logs it."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address it listens on; in a pod 0.0.0.0.")


class DagsterSettings(Section):
    """The Dagster instance."""

    home: Path | None = Field(None, description="DAGSTER_HOME; null is DATA_DIR/dagster.")
    webserver_host: str = Field("127.0.0.1", description="Address that the UI of mineru-pipeline dev listens on.")
    webserver_port: Annotated[int, Field(ge=1, le=65535)] = Field(3000, description="Its port.")


class Settings(BaseSettings):
    """The whole tree. Build it with :func:`load`, which also tells where each value came from."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__", validate_default=True
    )

    data_dir: Path = Field(default_factory=lambda: project_root() / "data", description="Store and Dagster home.")
    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)] = Field(
        "default", description="Whose the documents are that name no tenant; a segment of keys in the store."
    )
    vllm_server: VLLMServerSettings = VLLMServerSettings()  # type: ignore[call-arg]  # all defaulted
    http_client: HttpClientSettings = HttpClientSettings()  # type: ignore[call-arg]  # all defaulted
    intake: IntakeSettings = IntakeSettings()  # type: ignore[call-arg]  # all defaulted
    kafka: KafkaSettings = KafkaSettings()  # type: ignore[call-arg]  # all defaulted
    workers: WorkerSettings = WorkerSettings()  # type: ignore[call-arg]  # all defaulted
    rendering: RenderingSettings = RenderingSettings()  # type: ignore[call-arg]  # all defaulted
    parsing: ParsingSettings = ParsingSettings()
    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]  # all defaulted
    storage: StorageSettings = StorageSettings()  # type: ignore[call-arg]  # all defaulted
    minio: MinioSettings = MinioSettings()  # type: ignore[call-arg]  # all defaulted
    checks: ChecksSettings = ChecksSettings()  # type: ignore[call-arg]  # all defaulted
    metrics: MetricsSettings = MetricsSettings()  # type: ignore[call-arg]  # all defaulted
    backfills: BackfillSettings = BackfillSettings()  # type: ignore[call-arg]  # all defaulted
    alerts: AlertSettings = AlertSettings()  # type: ignore[call-arg]  # all defaulted
    dagster: DagsterSettings = DagsterSettings()  # type: ignore[call-arg]  # all defaulted

    @property
    def store_root(self) -> Path:
        """Absolute root of the file-system store."""
        return (self.storage.root or self.data_dir / "store").expanduser().absolute()

    @property
    def store_address(self) -> str:
        """The folder or ``s3://bucket/prefix`` of the store in use."""
        return address_of(self.storage.backend, self.store_root, self.storage.bucket, self.storage.prefix)

    @property
    def disk_folder(self) -> Path:
        """The local folder that fills up as runs go on: the store's, or the data folder when that is elsewhere."""
        return self.store_root if self.storage.backend == "filesystem" else self.data_dir.expanduser().absolute()

    @property
    def dagster_home(self) -> Path:
        """Absolute DAGSTER_HOME."""
        return (self.dagster.home or self.data_dir / "dagster").expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what :func:`load` merged: it keeps the sources apart to know each value's origin."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, and for each leaf (``section.key``) the source it came from."""

    settings: Settings
    origins: Mapping[str, str]
    config_file: Path | None


def leaves(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of the tree as ``(dotted name, field)``, in order of declaration."""
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from leaves(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def _mappings() -> frozenset[str]:
    """The leaves whose values are mappings, with keys of their own that may hold dots."""
    return frozenset(name for name, info in leaves() if get_origin(info.annotation) is dict)


def is_secret(info: Any) -> bool:
    """Whether a field's value must never be shown."""
    return SecretStr in (info.annotation, *get_args(info.annotation))


def load(
    config_file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> LoadedSettings:
    """Read the settings.

    Args:
        config_file: YAML file that must exist; by default the one the environment names, or
            ``mineru_pipeline.yaml`` in the working directory if there is one.
        environ: the environment; the process's own by default.
        overrides: dotted names and values that win over everything, such as command-line options.

    Raises:
        SettingsError: an unknown key or a bad value, named with its source.
    """
    environ = os.environ if environ is None else environ
    path = _config_path(config_file, environ)
    layers = [
        (f"file {path}", flatten(read_yaml(path), whole=_mappings()) if path else {}),
        ("environment", _from_environment(environ)),
        ("command line", dict(overrides or {})),
    ]
    values: dict[str, Any] = {}
    origins = dict.fromkeys((name for name, _ in leaves()), "default")
    for origin, layer in layers:
        for key, value in layer.items():
            values[key] = value
            origins[key] = f"environment {_env_name(key)}" if origin == "environment" else origin
    try:
        settings = Settings(**nest(values))
    except ValidationError as error:
        # "from None": pydantic's own text would quote the value of a secret.
        raise SettingsError(_explain(error, origins)) from None
    return LoadedSettings(settings, {name: origins[name] for name, _ in leaves()}, path)


def describe(loaded: LoadedSettings) -> list[tuple[str, Any, str]]:
    """The effective tree as ``(dotted name, plain value, origin)``; secrets are masked."""
    dumped = flatten(loaded.settings.model_dump(mode="json"), whole=_mappings())
    rows = []
    for name, info in leaves():
        value = dumped.get(name)
        rows.append((name, _masked(value) if is_secret(info) else value, loaded.origins[name]))
    return rows


def _masked(value: Any) -> Any:
    """The value with all that is secret hidden; of a mapping the names stay."""
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return None if value is None else MASK


def _config_path(config_file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config_file is None and (named := environ.get(ENV_CONFIG_FILE)):
        config_file = Path(named)
    if config_file is not None:
        if not config_file.is_file():
            problem = "is not a file" if config_file.exists() else "does not exist"
            raise SettingsError(f"settings file {config_file} {problem}; create it, or do not name it")
        return config_file.absolute()
    default = Path.cwd() / DEFAULT_CONFIG_FILE
    return default if default.is_file() else None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Values of the environment, flat; a list may be written with commas or, like a mapping, as JSON."""
    mine = {key: value for key, value in environ.items() if key.upper().startswith(ENV_PREFIX)}
    known = {_env_name(name) for name, _ in leaves()}
    for key in mine:
        if key not in known:
            hint = "names are upper case; " if key.upper() in known else ""
            raise SettingsError(
                f"environment variable {key} names no setting; {hint}'mineru-pipeline config' lists them all"
            )
    flat: dict[str, Any] = {}
    for name, info in leaves():
        raw = mine.get(_env_name(name))
        if raw is None:
            continue
        if raw.lstrip().startswith(_json_start(name, info)):
            flat[name] = _json(raw, _env_name(name))
        elif _is_list(info):
            flat[name] = [part for part in (each.strip() for each in raw.split(",")) if part]
        else:
            flat[name] = None if raw in {"", "null"} and _is_optional(info) else raw
    return flat


def _json_start(name: str, info: Any) -> tuple[str, ...]:
    """What a variable starts with that is to be read as JSON: lists and mappings have no other form."""
    if name == "vllm_server.base_url" or _is_list(info):
        return ("[",)
    return ("{",) if get_origin(info.annotation) is dict else ()


def _json(raw: str, variable: str) -> object:
    try:
        return json.loads(raw)
    except ValueError:
        raise SettingsError(
            f'environment variable {variable} is not valid JSON, such as ["a", "b"] or {{"name": "value"}}'
        ) from None


def _is_list(info: Any) -> bool:
    return get_origin(info.annotation) is tuple


def _is_optional(info: Any) -> bool:
    return type(None) in get_args(info.annotation)


def _env_name(dotted: str) -> str:
    return ENV_PREFIX + dotted.replace(".", "__").upper()


_LOOKS_SECRET = re.compile("key|token|secret|passw|auth|credential", re.IGNORECASE)
#: Everything from the scheme, or of name:password from the start, to the last @: a password may hold a slash or an @.
_CREDENTIALS = re.compile(r"//.*@|(?<=got ['\"])[^'\"/]*:.*@")
#: What follows the path of an address, up to the quote that ends the value: a token may be there.
_QUERY = re.compile(r"(://[^?#]*[?#]).+(?=['\"])")


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = [_explain_one(problem, origins) for problem in error.errors()]
    return "settings are not usable:\n  " + "\n  ".join(dict.fromkeys(lines))


def _explain_one(problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    parts = [str(part) for part in problem["loc"]]
    # A union's members follow the key in the location; only the key means something to people.
    key = next((k for n in range(len(parts), 0, -1) if (k := ".".join(parts[:n])) in origins), ".".join(parts))
    sources = {origin for name, origin in origins.items() if name == key or name.startswith(f"{key}.")}
    named = sorted(sources - {"default"})
    source = f" ({', '.join(named)})" if named else ""
    if problem["type"] == "extra_forbidden":
        likely = difflib.get_close_matches(key, [name for name, _ in leaves()], n=1)
        hint = f"; did you mean {likely[0]}?" if likely else ""
        return f"{key}: no such setting{_value(problem, key, *likely)}{source}{hint}"
    return f"{key}: {problem['msg']}{_value(problem, key)}{source}"


def _value(problem: ErrorDetails, *keys: str) -> str:
    """The offending value if it is a plain one of a key that cannot be secret, mistyped names included."""
    secrets = {name for name, info in leaves() if is_secret(info)}
    sections = {name.rsplit(".", 1)[0] for name in secrets}
    given = problem["input"]
    plain = given is None or isinstance(given, str | int | float | bool)
    if not plain or any(key in secrets | sections or _LOOKS_SECRET.search(key) for key in keys):
        return ""
    return _QUERY.sub(rf"\1{MASK}", _CREDENTIALS.sub(f"//{MASK}@", f", got {given!r}"))
