"""The Spark session and the Kafka options of the streaming job."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import StreamError
from contracts.settings import KafkaSettings, Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

APP_NAME = "fraud-detection"
CHECKPOINT_MANAGER = (
    "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
)
JAVA_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""The quick compiler and the plain collector alone: on few cores, shared with broker and workers,
the threads of the others cost more than they give, most of all while the job starts.
"""
TASK_FAILURES = 4
"""Of one task, before its query fails: what a cluster allows unless told otherwise."""
LOCAL_FILES = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"


def connector_jars(folder: Path) -> list[str]:
    """Spark's Kafka connector and what it needs.

    Raises:
        StreamError: the folder holds no jars.
    """
    jars = sorted(str(path) for path in folder.glob("*.jar"))
    if not jars:
        raise StreamError(
            "Spark's Kafka connector is missing", value=str(folder), remedy="Run `fraud up`"
        )
    return jars


def session_options(settings: Settings, jars: list[str], scratch: Path) -> dict[str, str]:
    """Spark's configuration for small, frequent batches on this machine."""
    spark = settings.spark
    options = {
        "spark.driver.memory": spark.driver_memory,
        "spark.executor.memory": spark.executor_memory,
        "spark.driver.extraJavaOptions": JAVA_OPTIONS,
        "spark.executor.extraJavaOptions": JAVA_OPTIONS,
        "spark.ui.port": str(spark.ui_port),
        "spark.jars": ",".join(jars),
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
        "spark.sql.streaming.minBatchesToRetain": "20",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.ui.showConsoleProgress": "false",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.python.daemon.module": "inference.spark_daemon",
        # Over TCP a task's records wait 40 ms: Spark's side holds them back until what it sent
        # before is acknowledged (Nagle's algorithm), which the worker's side delays (RFC 1122).
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.sql.ui.retainedExecutions": "50",
        "spark.ui.retainedJobs": "100",
        "spark.ui.retainedStages": "100",
    }
    return options | _checkpoint_options(jars)


def _checkpoint_options(jars: list[str]) -> dict[str, str]:
    """Checkpoint files without a rename and a forked chmod each: 3 ms instead of 90 per batch."""
    options = {"spark.sql.streaming.checkpointFileManagerClass": CHECKPOINT_MANAGER}
    local = [jar for jar in jars if "bare-naked-local-fs" in jar]
    if local:
        options["spark.hadoop.fs.file.impl"] = LOCAL_FILES
        options["spark.driver.extraClassPath"] = local[0]
        options["spark.executor.extraClassPath"] = local[0]
    return options


def patient(master: str) -> str:
    """The master, with failed tasks tried again: local mode gives up at the first one if not told.

    So a killed Python worker costs a task, not a restart of the whole job.
    """
    found = re.fullmatch(r"local(?:\[([^,\]]+)\])?", master)
    return f"local[{found[1] or 1},{TASK_FAILURES}]" if found else master


def open_session(settings: Settings, master: str, jars: list[str], scratch: Path) -> "SparkSession":
    """Start the driver's JVM, or use the one of `spark-submit`."""
    from pyspark.sql import SparkSession

    environment = {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    builder = SparkSession.builder.appName(APP_NAME).master(patient(master))
    for name, value in session_options(settings, jars, scratch).items():
        builder = builder.config(name, value)
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    return session


def kafka_options(kafka: KafkaSettings) -> dict[str, str]:
    """Connection options that source and sink share."""
    options = {
        "kafka.bootstrap.servers": kafka.broker,
        "kafka.security.protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL"):
        options["kafka.sasl.mechanism"] = kafka.sasl_mechanism
        options["kafka.sasl.jaas.config"] = _jaas(kafka)
    return options


def _jaas(kafka: KafkaSettings) -> str:
    module = (
        "org.apache.kafka.common.security.plain.PlainLoginModule"
        if kafka.sasl_mechanism == "PLAIN"
        else "org.apache.kafka.common.security.scram.ScramLoginModule"
    )
    password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else ""
    user, secret = _quoted(kafka.sasl_username or ""), _quoted(password)
    return f"{module} required username={user} password={secret};"


def _quoted(text: str) -> str:
    """A string as JAAS reads it, by java.io.StreamTokenizer's rules."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
