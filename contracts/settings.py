"""Typed settings: `config/config.yaml`, overridden by `.env` files and then by the environment.

Only `load_settings` reads files or the environment; everything else is handed a `Settings`.
Precedence, lowest first: config.yaml, the local stack's generated `.fraud/local.env`, `.env`, the
stream's `.fraud/stream.env`, the process environment.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from contracts.env_files import read_env_file
from contracts.errors import SettingsError
from contracts.rule_settings import FallbackSettings
from contracts.section import Section

Port = Annotated[int, Field(ge=1, le=65535)]
Minor = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]


TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
BucketName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
JavaMemory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[kmgtKMGT]$")]
SparkMaster = Annotated[str, Field(pattern=r"^(local(\[[^\]]+\])?|yarn|(spark|k8s)://\S+)$")]
Starting = Annotated[str, Field(pattern=r"^(latest|snapshot|champion|\{.*\})$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class KafkaSettings(Section):
    """Broker, security and topic names; Confluent Cloud needs only these."""

    broker: Annotated[str, Field(min_length=1)]
    topic: TopicName
    group_id: Annotated[str, Field(min_length=1)]
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    replication_factor: Positive
    outcomes_topic: TopicName
    labels_topic: TopicName
    scores_topic: TopicName
    rejects_topic: TopicName
    alerts_topic: TopicName
    shadow_topic: TopicName
    truth_topic: TopicName
    frontiers_topic: TopicName
    partitions: Positive
    retention_ms: Annotated[int, Field(ge=-1)]
    copy_alerts: bool

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        names = [getattr(self, field) for field in type(self).model_fields if "topic" in field]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"each topic needs a name of its own, not {', '.join(sorted(twice))}")
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password
        ):
            raise ValueError("SASL needs KAFKA_USERNAME and KAFKA_PASSWORD")
        return self


class DatabaseSettings(Section):
    """The platform's own Postgres database."""

    host: str
    port: Port
    user: str
    name: str
    password: SecretStr = SecretStr("")


class ObjectStoreSettings(Section):
    """Any S3 endpoint: MinIO, SeaweedFS or a cloud."""

    host: HttpUrl
    bucket: BucketName
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")


class RedisSettings(Section):
    """The feature store; the URL may hold a password, so it is not shown."""

    url: Annotated[str, Field(repr=False, pattern=r"^(rediss?|unix)://\S+")]

    @property
    def socket(self) -> Path | None:
        """The file of a Unix socket; None for an address in a network."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme == "unix" else None


class MlflowSettings(Section):
    """Tracking server and registry; a SQLite file may stand in for the server."""

    tracking_uri: Annotated[str, Field(pattern=r"^(https?|sqlite|file)://\S+")]
    experiment: str
    model_name: str

    @property
    def page(self) -> str:
        """The address for people to open, without a login."""
        return without_login(self.tracking_uri)


class AirflowSettings(Section):
    """The REST API that the command line talks to."""

    url: HttpUrl
    user: str
    password: SecretStr = SecretStr("")


class SupervisorSettings(Section):
    """The process supervisor's XML-RPC interface, where the streaming job is started."""

    url: HttpUrl
    user: str = "fraud"
    password: SecretStr = SecretStr("")


class SparkSettings(Section):
    """Where and how large the streaming job runs."""

    master: SparkMaster
    executor_memory: JavaMemory
    driver_memory: JavaMemory
    ui_port: Port
    trigger_seconds: Annotated[float, Field(ge=0)]
    max_offsets_per_trigger: Positive
    starting: Starting


class ScoringSettings(Section):
    """How events are decided; `shadow_share` is the most time for a challenger, 0 for none."""

    shadow_share: Annotated[float, Field(ge=0, le=1)]


class TilesSettings(Section):
    """Features across cards: how long a scorer waits for them, and what is kept beyond windows."""

    wait_seconds: Annotated[float, Field(ge=0)]
    slack_days: Annotated[float, Field(ge=0, le=90)]


class LearningSettings(Section):
    """Time cuts and the hyper-parameters that operators may set."""

    maturity_days: Positive
    test_days: Positive
    validation_days: Annotated[int, Field(ge=2)]
    train_days: Positive
    batch_size: Positive
    epochs: Positive
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    smote_ratio: Annotated[float, Field(gt=0, le=1)]
    tuning_trials: Annotated[int, Field(ge=0, le=500)]
    prequential_folds: Annotated[int, Field(ge=1, le=4)]
    seed: int


class PolicySettings(Section):
    """Money, in minor units, behind approve, review and decline."""

    missed_fraud_fixed_minor: Minor
    review_cost_minor: Minor
    review_catch_rate: Share
    false_decline_fixed_minor: Minor
    false_decline_rate: Share
    review_capacity_per_day: Positive
    capacity_met_share: Share
    fraud_threshold: Share | None
    control_rate: Share
    control_amount_cap_minor: Minor


class WorldSettings(Section):
    """The synthetic world's size, place in time and pace; `preset` says what is paid with.

    Medians of the delays until a fraud is known; `unreported_share` of victims never tell.
    """

    preset: Literal["card", "crypto", "atm"] = "card"
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    backfill_days: Annotated[int, Field(ge=1, le=3650)]
    end_days_ago: Annotated[int, Field(ge=0, le=3650)]
    cards: Annotated[int, Field(ge=10, le=5_000_000)]
    merchants: Annotated[int, Field(ge=100, le=1_000_000)]
    fraud_rate: Annotated[float, Field(ge=0, le=0.05)]
    speed: Annotated[float, Field(gt=0, le=1_000_000)]
    unreported_share: Annotated[float, Field(ge=0, le=0.9)] = 0.10
    chargeback_days: Annotated[float, Field(gt=0, le=20)] = 4.0
    report_hours: Annotated[float, Field(gt=0, le=240)] = 24.0
    investigation_hours: Annotated[float, Field(gt=0, le=240)] = 6.0


class Settings(Section):
    """Everything a part may need, handed to it by the composition root."""

    kafka: KafkaSettings
    database: DatabaseSettings
    object_store: ObjectStoreSettings
    redis: RedisSettings
    mlflow: MlflowSettings
    airflow: AirflowSettings
    supervisor: SupervisorSettings
    spark: SparkSettings
    tiles: TilesSettings
    learning: LearningSettings
    policy: PolicySettings
    scoring: ScoringSettings
    fallback: FallbackSettings
    world: WorldSettings


VARIABLES: Mapping[str, str] = {
    "KAFKA_BROKER": "kafka.broker",
    "KAFKA_TOPIC": "kafka.topic",
    "KAFKA_GROUP_ID": "kafka.group_id",
    "KAFKA_SECURITY_PROTOCOL": "kafka.security_protocol",
    "KAFKA_SASL_MECHANISM": "kafka.sasl_mechanism",
    "KAFKA_USERNAME": "kafka.sasl_username",
    "KAFKA_PASSWORD": "kafka.sasl_password",
    "KAFKA_REPLICATION_FACTOR": "kafka.replication_factor",
    "DB_HOST": "database.host",
    "DB_PORT": "database.port",
    "DB_USER": "database.user",
    "DB_PASSWORD": "database.password",
    "DB_NAME": "database.name",
    "MINIO_HOST": "object_store.host",
    "MINIO_BUCKET": "object_store.bucket",
    "MINIO_ACCESS_KEY": "object_store.access_key",
    "MINIO_SECRET_KEY": "object_store.secret_key",
    "REDIS_URL": "redis.url",
    "MLFLOW_TRACKING_URI": "mlflow.tracking_uri",
    "AIRFLOW_URL": "airflow.url",
    "AIRFLOW_USER": "airflow.user",
    "AIRFLOW_PASSWORD": "airflow.password",
    "SUPERVISOR_URL": "supervisor.url",
    "SUPERVISOR_PASSWORD": "supervisor.password",
    "SPARK_MASTER": "spark.master",
    "SPARK_EXECUTOR_MEMORY": "spark.executor_memory",
    "SPARK_DRIVER_MEMORY": "spark.driver_memory",
    "SPARK_UI_PORT": "spark.ui_port",
    "STREAM_TRIGGER_SECONDS": "spark.trigger_seconds",
    "STREAM_MAX_OFFSETS": "spark.max_offsets_per_trigger",
    "STREAM_STARTING": "spark.starting",
    "MATURITY_DAYS": "learning.maturity_days",
    "BATCH_SIZE": "learning.batch_size",
    "EPOCHS": "learning.epochs",
    "LEARNING_RATE": "learning.learning_rate",
    "SMOTE_RATIO": "learning.smote_ratio",
    "FRAUD_THRESHOLD": "policy.fraud_threshold",
}
"""Environment variable to settings path: the only names that are read."""

STACK_VARIABLES = (
    "FRAUD_PORT_OFFSET",
    "POSTGRES_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "AIRFLOW_DB_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_API_SECRET",
    "REDIS_PASSWORD",
)
"""Names a `.env` file may also hold: the first is for the local stack, the others for compose."""

LOCAL_ENV = Path(".fraud/local.env")
STREAM_ENV = Path(".fraud/stream.env")
"""How the stream was last told to run; a restart by Airflow writes it."""


def load_settings(root: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the checkout at `root`.

    Raises:
        SettingsError: a key is unknown or a value is wrong; names the file, the key and the value.
    """
    process = os.environ if environ is None else environ
    tree = _read_yaml(root / "config" / "config.yaml")
    for path in (root / LOCAL_ENV, root / ".env", root / STREAM_ENV):
        _apply(tree, _read_env(path), str(path.relative_to(root)))
    _apply(tree, {name: process[name] for name in VARIABLES if name in process}, "environment")
    return _validated(tree)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            "settings file is missing", value=str(path), remedy="Run from the checkout's root"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}", value=str(path)) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path.name} is not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"{path.name} must hold a mapping of sections", value=tree)
    return tree


def _read_env(path: Path) -> dict[str, str]:
    values = read_env_file(path)
    known = (*VARIABLES, *STACK_VARIABLES)
    for name in values:
        if name not in known:
            raise SettingsError(
                f"unknown variable in {path.name}", value=name, remedy=_suggestion(name, known)
            )
    return values


def _suggestion(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else "See env/example.env for the names"


def _apply(tree: dict[str, Any], values: Mapping[str, str], origin: str) -> None:
    for name, value in values.items():
        if name not in VARIABLES or value == "":
            continue
        section, key = VARIABLES[name].split(".")
        if not isinstance(tree.setdefault(section, {}), dict):
            raise SettingsError(
                f"{section} in config.yaml must be a mapping ({origin} sets {name})"
            )
        tree[section][key] = value


def _validated(tree: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("wrong settings: " + "; ".join(_problems(error))) from error


def _problems(error: ValidationError) -> Iterator[str]:
    by_path = {path: name for name, path in VARIABLES.items()}
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        variable = f" ({by_path[path]})" if path in by_path else ""
        yield f"{path}{variable}: {problem['msg']}{_shown(path, problem)}"


def _shown(path: str, problem: ErrorDetails) -> str:
    """The value that was refused; never a secret, nor a whole section that may hold one."""
    if problem["type"] == "extra_forbidden":
        return f". {_suggestion(str(problem['loc'][-1]), _names_beside(problem['loc']))}"
    is_secret = any(word in path for word in ("password", "key", "redis"))
    value = problem["input"]
    if problem["type"] == "missing" or is_secret or not isinstance(value, str | int | float):
        return ""
    shown = without_login(value) if isinstance(value, str) else value
    return f", got {shown!r}"


def without_login(address: str) -> str:
    """An address as it may be shown, without what stands before the @ or in `password=`."""
    return re.sub(r"(?<=[?&])password=[^&\s]*&?", "", re.sub(r"//[^/@\s]*@", "//", address))


def _names_beside(place: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that the section of an unknown key does have."""
    fields: Any = Settings.model_fields
    for step in place[:-1]:
        section = fields[step].annotation if step in fields else None
        fields = getattr(section, "model_fields", {})
    return tuple(fields)
