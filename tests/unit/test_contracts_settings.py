"""Settings: files, variables, precedence, secrets and errors."""

import shutil
from pathlib import Path

import pytest
from dotenv import dotenv_values

from contracts.errors import SettingsError
from contracts.settings import STACK_VARIABLES, VARIABLES, Settings, load_settings

CHECKOUT = Path(__file__).resolve().parents[2]
GUIDE_NAMES = [
    "KAFKA_BROKER",
    "KAFKA_TOPIC",
    "KAFKA_GROUP_ID",
    "DB_HOST",
    "DB_USER",
    "DB_PASSWORD",
    "DB_NAME",
    "MINIO_HOST",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY",
    "BATCH_SIZE",
    "EPOCHS",
    "LEARNING_RATE",
    "SMOTE_RATIO",
    "SPARK_MASTER",
    "SPARK_EXECUTOR_MEMORY",
    "SPARK_DRIVER_MEMORY",
    "FRAUD_THRESHOLD",
]
"""The names that the platform's guide promises."""
SECRET_NAMES = (
    "KAFKA_PASSWORD",
    "DB_PASSWORD",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY",
    "REDIS_URL",
    "AIRFLOW_PASSWORD",
    "SUPERVISOR_PASSWORD",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with the committed config.yaml and no `.env`."""
    (tmp_path / ".fraud").mkdir()
    shutil.copytree(CHECKOUT / "config", tmp_path / "config")
    return tmp_path


def load(root: Path, **environ: str) -> Settings:
    """Settings without this process's environment."""
    return load_settings(root, environ)


def change(root: Path, old: str, new: str) -> None:
    """Edit config.yaml."""
    path = root / "config" / "config.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_committed_configuration_is_complete(root: Path) -> None:
    """Without any `.env` the defaults of config.yaml are valid settings."""
    assert load(root).kafka.topic == "transactions"


def test_each_source_overrides_the_one_below_it(root: Path) -> None:
    """config.yaml < .fraud/local.env < .env < the process environment."""
    assert load(root).kafka.topic == "transactions"
    (root / ".fraud" / "local.env").write_text("KAFKA_TOPIC=generated\nKAFKA_GROUP_ID=generated\n")
    assert load(root).kafka.topic == "generated"
    (root / ".env").write_text("KAFKA_TOPIC=edited\n")
    assert load(root).kafka.topic == "edited"
    settings = load(root, KAFKA_TOPIC="exported")
    assert (settings.kafka.topic, settings.kafka.group_id) == ("exported", "generated")


def test_an_empty_value_means_the_one_below(root: Path) -> None:
    """A name left empty, as in env/example.env, changes nothing."""
    shutil.copy(CHECKOUT / "env" / "example.env", root / ".env")
    assert load(root, KAFKA_TOPIC="") == load(root)


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_sets_what_it_names(root: Path, variable: str) -> None:
    """A value given under a variable's name arrives at its place in the settings."""
    section, key = VARIABLES[variable].split(".")
    probe = _probe(root, section, key)
    found = getattr(getattr(load(root, **{variable: probe}), section), key)
    plain = found.get_secret_value() if hasattr(found, "get_secret_value") else found
    assert str(plain) == probe


def _probe(root: Path, section: str, key: str) -> str:
    """A valid value that differs from the default."""
    special = {
        "host": "https://probe.example" if section == "object_store" else "probe.example",
        "master": "spark://probe.example:7077",
        "executor_memory": "375m",
        "driver_memory": "375m",
        "starting": "latest",
        "security_protocol": "SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "tracking_uri": "https://probe.example",
        "url": "redis://probe.example:1" if section == "redis" else "https://probe.example",
    }
    default = getattr(getattr(load(root), section), key)
    if key in special:
        return special[key]
    if isinstance(default, float) or key == "fraud_threshold":
        return "0.375"
    return str(default + 1) if isinstance(default, int) else "probe-value"


def test_the_example_file_holds_exactly_the_known_names() -> None:
    """env/example.env offers every settings variable, and no name that nobody reads."""
    names = set(dotenv_values(CHECKOUT / "env" / "example.env"))
    assert set(VARIABLES) <= names <= {*VARIABLES, *STACK_VARIABLES}


def test_the_example_file_holds_no_value() -> None:
    """Nothing in env/example.env is a default credential, or any value at all."""
    values = dotenv_values(CHECKOUT / "env" / "example.env")
    assert [name for name, value in values.items() if value] == []


def test_the_names_of_the_guide_are_known() -> None:
    """Each parameter that the guide promises is a settings variable."""
    assert [name for name in GUIDE_NAMES if name not in VARIABLES] == []


def test_an_unknown_variable_in_a_file_is_named_with_the_likely_one(root: Path) -> None:
    """A misspelt name in `.env` is an error with a suggestion, never silently ignored."""
    (root / ".env").write_text("KAFKA_BROKR=elsewhere:9092\n")
    with pytest.raises(SettingsError, match=r"KAFKA_BROKR.*Did you mean KAFKA_BROKER"):
        load(root)


def test_an_unknown_key_in_the_configuration_is_named(root: Path) -> None:
    """A misspelt key in config.yaml is an error that names section and key."""
    change(root, "group_id:", "groupid:")
    with pytest.raises(SettingsError, match=r"kafka\.groupid"):
        load(root)


def test_a_wrong_type_names_path_variable_and_value(root: Path) -> None:
    """A value of the wrong type is shown with where it came from."""
    with pytest.raises(SettingsError, match=r"learning\.epochs \(EPOCHS\).*'many'"):
        load(root, EPOCHS="many")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMOTE_RATIO", "0"),
        ("DB_PORT", "70000"),
        ("MINIO_BUCKET", "My Bucket"),
        ("SPARK_MASTER", "locale[2]"),
        ("SPARK_DRIVER_MEMORY", "700"),
        ("STREAM_STARTING", "yesterday"),
    ],
)
def test_a_value_out_of_range_is_refused(root: Path, name: str, value: str) -> None:
    """Bounds are checked when the settings are read, not when they are used."""
    with pytest.raises(SettingsError, match=name):
        load(root, **{name: value})


def test_a_missing_configuration_says_where_it_was_sought(tmp_path: Path) -> None:
    """Outside a checkout the error names the path and the remedy."""
    with pytest.raises(SettingsError, match=r"config\.yaml.*checkout's root"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["kafka: [", "just words", "kafka: 3"])
def test_a_damaged_configuration_is_one_clear_error(root: Path, text: str) -> None:
    """Broken YAML, or YAML of another shape, never ends in a traceback of the parser."""
    (root / "config" / "config.yaml").write_text(text)
    with pytest.raises(SettingsError):
        load(root, KAFKA_TOPIC="x")


def test_no_secret_shows_when_settings_are_printed(root: Path) -> None:
    """`repr` and `str` of the settings hide every secret."""
    values = {name: f"hush-{name}" for name in SECRET_NAMES}
    settings = load(root, **values | {"REDIS_URL": "redis://:hush@store:6379/0"})
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)
    assert settings.database.password.get_secret_value() == "hush-DB_PASSWORD"


def test_no_secret_shows_in_an_error(root: Path) -> None:
    """A refused secret is not repeated in the message."""
    change(root, "  user: fraud ", "  password: [hush]\n  user: fraud ")
    with pytest.raises(SettingsError) as error:
        load(root)
    assert "hush" not in str(error.value)


def test_no_login_shows_in_an_address(root: Path) -> None:
    """Neither a refused address nor the page that people are told repeats its password."""
    with pytest.raises(SettingsError) as error:
        load(root, MLFLOW_TRACKING_URI="postgresql://mlflow:hush@host/db")
    assert "hush" not in str(error.value)
    assert "host/db" in str(error.value)
    settings = load(root, MLFLOW_TRACKING_URI="https://ann:hush@mlflow.example")
    assert settings.mlflow.page == "https://mlflow.example"


def test_confluent_cloud_needs_only_settings(root: Path) -> None:
    """SASL over TLS is reached by variables alone, and the clients get the credentials."""
    from contracts.kafka import client_config

    settings = load(
        root,
        KAFKA_BROKER="cluster.example:9092",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_USERNAME="key",
        KAFKA_PASSWORD="hush",
    )
    config = client_config(settings.kafka)
    assert (config["security.protocol"], config["sasl.mechanisms"]) == ("SASL_SSL", "PLAIN")
    assert (config["sasl.username"], config["sasl.password"]) == ("key", "hush")


def test_settings_survive_their_own_json(root: Path) -> None:
    """A program hands them to another as JSON; what was left out is not asked for there."""
    settings = load(root)
    assert Settings.model_validate_json(settings.model_dump_json()).fallback == settings.fallback


def test_settings_are_a_key(root: Path) -> None:
    """A Spark worker keeps one scorer per settings, so equal settings must hash alike."""
    assert hash(load_settings(root, environ={})) == hash(load_settings(root, environ={}))


SECRETS = "KAFKA_PASSWORD=hunter2\nDB_PASSWORD=hunter2\nREDIS_URL=redis://:hunter2@h:1\n"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("partitions: 4", "partitons: 4", "Did you mean partitions"),
        ("\nworld:", "\nwrld:", "Did you mean world"),
        ("  batch_size:", "  batchsize:", "learning.batch_size"),
    ],
)
def test_a_misspelt_key_shows_no_secret(root: Path, old: str, new: str, says: str) -> None:
    """Neither the section nor the settings around a wrong key are repeated in the message."""
    (root / ".env").write_text(SECRETS)
    change(root, old, new)
    with pytest.raises(SettingsError, match=says) as refused:
        load(root)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"this is not an assignment\n", "line 1 of .env"),
        (b'DB_HOST=a\nKAFKA_BROKER="unclosed\n', "line 2 of .env"),
        (b"DB_HOST=\xff\n", "cannot be read"),
    ],
)
def test_an_env_file_that_cannot_be_understood_is_refused(
    root: Path, content: bytes, says: str
) -> None:
    """Nothing is skipped in silence: the message names the file and the line."""
    (root / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=says):
        load(root)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"KAFKA_TOPIC": "fraud_scores"}, "a name of its own, not fraud_scores"),
        ({"KAFKA_TOPIC": "a b"}, "KAFKA_TOPIC"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_USERNAME and KAFKA_PASSWORD"),
        ({"REDIS_URL": "redis:secret"}, "REDIS_URL"),
        ({"MLFLOW_TRACKING_URI": "notaurl"}, "MLFLOW_TRACKING_URI"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    root: Path, variables: dict[str, str], says: str
) -> None:
    """A feedback loop, a missing login or an address that is none is said before anything runs."""
    with pytest.raises(SettingsError, match=says):
        load(root, **variables)
