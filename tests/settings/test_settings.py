"""The settings tree: precedence, errors that help, origins, secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from mineru_pipeline import settings
from mineru_pipeline.errors import SettingsError
from mineru_pipeline.settings_storage import store_overrides


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "pipeline.yaml"


def load(config: Path, text: str, **environ: str) -> settings.LoadedSettings:
    config.write_text(text)
    return settings.load(config, environ=environ)


def test_defaults_need_nothing() -> None:
    """Without file and environment every leaf has its default, and says so."""
    loaded = settings.load(environ={})
    assert loaded.settings.vllm_server.model == "opendatalab/MinerU2.5-Pro-2605-1.2B"
    assert loaded.settings.http_client.circuit_breaker.failure_threshold == 5
    assert set(loaded.origins.values()) == {"default"}


def test_environment_wins_over_file_and_overrides_win_over_both(config: Path) -> None:
    """The order of precedence is: given, environment, file, default."""
    config.write_text("workers: {count: 3, batch_size: 10}\ntenant: file\n")
    environ = {"MINERU_PIPELINE__WORKERS__COUNT": "5", "MINERU_PIPELINE__TENANT": "env"}
    loaded = settings.load(config, environ=environ, overrides={"tenant": "given"})
    assert (loaded.settings.workers.count, loaded.settings.workers.batch_size) == (5, 10)
    assert loaded.settings.tenant == "given"
    assert loaded.origins["workers.count"] == "environment MINERU_PIPELINE__WORKERS__COUNT"
    assert loaded.origins["workers.batch_size"] == f"file {config}"
    assert loaded.origins["tenant"] == "command line"


def test_the_environment_can_name_the_file(config: Path) -> None:
    """MINERU_PIPELINE_CONFIG stands in for the option."""
    config.write_text("tenant: named\n")
    assert settings.load(environ={"MINERU_PIPELINE_CONFIG": str(config)}).settings.tenant == "named"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("workers: {count: zero}", ["workers.count", "'zero'"]),
        ("workers: {cuont: 1}", ["workers.cuont", "no such setting"]),
        ("bogus: 1", ["bogus", "no such setting"]),
        ("workers: 3", ["workers"]),
        ("http_client: {circuit_breaker: {failure_threshold: 0}}", ["http_client.circuit_breaker.failure_threshold"]),
        ("http_client: {limiter: {minimum: 9, maximum: 3}}", ["limiter", "minimum", "larger"]),
        ("http_client: {backoff_min_seconds: 9, backoff_max_seconds: 1}", ["backoff_min_seconds", "larger"]),
        ("vllm_server: {base_url: 'ftp://x'}", ["vllm_server.base_url"]),
        ("vllm_server: {base_url: []}", ["vllm_server.base_url"]),
        ("tenant: '../up'", ["tenant"]),
        ("workers: {count: 1", ["line", "YAML"]),
        ("- a\n- b", ["mapping"]),
        ("limits: &a {b: *a}", ["aliases"]),
        ("[" * 20_000, ["nested too deeply"]),
        ("http_client: {backoff_max_seconds: .inf}", ["http_client.backoff_max_seconds"]),
        ("vllm_server: {base_url: 'http://host/?x=1'}", ["vllm_server.base_url", "query"]),
        ("minio: {endpoint: 'host:9000'}", ["minio.endpoint"]),
        ("minio: {endpoint: 'http://host:9000/bucket'}", ["minio.endpoint", "storage.bucket"]),
        ("storage: {bucket: 'Not A Bucket'}", ["storage.bucket", "3 to 63"]),
        ("storage: {prefix: 'a/../b'}", ["storage.prefix", "plain names"]),
        ("storage: {backend: floppy}", ["storage.backend", "filesystem"]),
        ("intake: {buckets: ['s3://papers']}", ["intake.buckets", "3 to 63"]),
        ("intake: {watch: [papers/in/]}", ["intake", "'papers' is not among intake.buckets"]),
        ("intake: {buckets: [papers], watch: [papers/../x]}", ["intake", "plain beginning"]),
        ("intake: {buckets: [papers], watch: [papers/a, papers/ab/]}", ["intake", "found twice"]),
        ("intake: {buckets: [papers], watch: [papers, papers]}", ["intake", "found twice"]),
    ],
)
def test_bad_values_are_named_with_key_value_and_file(config: Path, text: str, parts: list[str]) -> None:
    """Whoever mistypes a setting is told which, what and where."""
    with pytest.raises(SettingsError) as caught:
        load(config, text)
    for part in [*parts, str(config)]:
        assert part in str(caught.value)


def test_an_unknown_variable_is_an_error() -> None:
    """A mistyped variable must not be ignored in silence."""
    with pytest.raises(SettingsError, match="MINERU_PIPELINE__WORKERS__COUNTT"):
        settings.load(environ={"MINERU_PIPELINE__WORKERS__COUNTT": "3"})


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was asked for must exist."""
    with pytest.raises(SettingsError, match="does not exist"):
        settings.load(tmp_path / "absent.yaml", environ={})


@pytest.mark.parametrize(
    "text",
    [
        "vllm_server: {api_key: hunter2, modle: x}",
        "vllm_server: {api_key: [hunter2]}",
        "vllm_server: {api_kye: hunter2}",
        "vllm_server: {base_url: 'http://user:hunter2@host'}",
        "vllm_server: {base_url: ['http://user:hunter2@host']}",
        "vllm_server: {base_url: 'http://user:hun/hunter2@host:80'}",
        "vllm_server: {base_url: 'http://user:x@hunter2@host'}",
        "vllm_server: {base_url: 'http://host/?token=hunter2'}",
        "vllm_server: {base_url: ['http://host/#hunter2']}",
        "minio: {endpoint: 'http://host:9000?X-Amz-Signature=hunter2'}",
        "storage: {bucket: 'user:hunter2@bucket'}",
        "vllm_server: hunter2",
        "vllm_server: [{api_key: hunter2}]",
        "vllm_server: {auth: hunter2}",
        "minio: {endpoint: 'http://key:hunter2@host:9000'}",
        "minio: {secret_key: [hunter2]}",
        "minio: {secret_kye: hunter2}",
    ],
)
def test_secrets_never_reach_an_error(config: Path, text: str) -> None:
    """Neither a secret's value nor a credential in a URL is repeated, wherever the mistake is."""
    with pytest.raises(SettingsError) as caught:
        load(config, text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_are_masked_in_the_description(config: Path) -> None:
    """The effective tree shows that a key is set, not which."""
    loaded = load(config, "vllm_server: {api_key: hunter2}")
    rows = {name: (value, origin) for name, value, origin in settings.describe(loaded)}
    assert rows["vllm_server.api_key"] == ("********", f"file {config}")
    assert "hunter2" not in repr(loaded)


def test_several_endpoints_come_from_one_variable() -> None:
    """A list of replicas can be given in the environment, as JSON."""
    environ = {"MINERU_PIPELINE__VLLM_SERVER__BASE_URL": '["http://a:1/v1", "http://b:2/"]'}
    loaded = settings.load(environ=environ).settings
    assert loaded.vllm_server.endpoints == ("http://a:1", "http://b:2")


def test_an_empty_variable_means_null_where_null_is_allowed() -> None:
    """Compose files pass unset variables on as empty strings."""
    environ = {"MINERU_PIPELINE__HTTP_CLIENT__CONNECTION_POOL_SIZE": ""}
    assert settings.load(environ=environ).settings.http_client.connection_pool_size is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MINERU_PIPELINE__VLLM_SERVER__BASE_URL", "[http://a", "JSON"),
        ("mineru_pipeline__workers__count", "3", "upper case"),
    ],
)
def test_a_malformed_variable_is_explained(name: str, value: str, says: str) -> None:
    """Half a list and a lower-case name are errors that say what is expected."""
    with pytest.raises(SettingsError, match=says):
        settings.load(environ={name: value})


@pytest.mark.parametrize(
    ("address", "again"),
    [
        ("/data/store", "/data/store"),
        ("s3://papers", "s3://papers"),
        ("s3://papers/", "s3://papers"),
        ("s3://papers/team%20a/%C3%B6", "s3://papers/team%20a/%C3%B6"),
    ],
)
def test_the_address_of_a_store_leads_back_to_it(address: str, again: str) -> None:
    """Settings overridden by an address, as a re-executed run does, give that address, whatever they said before."""
    for backend in ("filesystem", "minio"):
        environ = {"MINERU_PIPELINE__STORAGE__BACKEND": backend, "MINERU_PIPELINE__STORAGE__BUCKET": "other"}
        assert settings.load(environ=environ, overrides=store_overrides(address)).settings.store_address == again


@pytest.mark.parametrize("value", ['["papers", "scans"]', "papers, scans", "papers,scans,"])
def test_a_list_can_be_given_in_the_environment(value: str) -> None:
    """As JSON, or as people write lists."""
    loaded = settings.load(environ={"MINERU_PIPELINE__INTAKE__BUCKETS": value}).settings
    assert loaded.intake.buckets == ("papers", "scans")
    assert settings.load(environ={"MINERU_PIPELINE__INTAKE__BUCKETS": ""}).settings.intake.buckets == ()
