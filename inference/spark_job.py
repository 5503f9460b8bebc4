"""The streaming job: Kafka to Kafka through the scorer, by Spark's native source and sink.

Per micro-batch: 1. Spark writes the batch's offsets to its checkpoint; 2. each task reads the
ranges of its partitions, scores them and updates feature state; 3. the sink writes the answers;
4. Spark writes the commit. A crash before 4 replays the same batch with the same offsets, the same
pinned model and features that state can give again: the answers are the same bytes, and readers
keep the first.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from contracts.errors import StreamError
from contracts.kafka import LETTER_BYTES
from contracts.settings import Settings
from inference.arrow_frames import ANSWER_DDL, SOURCE_COLUMNS
from inference.assembly import make_features, shown_metrics
from inference.metrics import query_gauges
from inference.notes import Life
from inference.progress import log_progress
from inference.spark_session import connector_jars, kafka_options, open_session
from inference.spark_worker import answer_task, warm_task
from inference.start_offsets import (
    FIRST_CHAMPION,
    as_spark_json,
    await_champion,
    build_state,
    checkpoint_offsets,
    resolve_start,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

logger = logging.getLogger(__name__)

QUERY_NAME = "decide-transactions"
WATCH_SECONDS, LOOKS_PER_LINE = 0.5, 6
"""How often the query is looked at, and a line about it is logged."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to run: paths, master, trigger interval in seconds, where to begin."""

    checkpoint: Path
    jars: Path
    master: str
    trigger_seconds: float
    starting: str = "snapshot"
    metrics_port: int | None = None


def run_stream(
    settings: Settings, options: StreamOptions, stop: threading.Event, life: Life
) -> None:
    """Decide transactions until `stop` is set.

    Raises:
        StreamError: the query failed, or the connector is missing.
        BrokerError: Kafka is out of reach at the start.
        MetricsError: the port of the metrics page is taken.
    """
    jars = connector_jars(options.jars)
    with ThreadPoolExecutor(1) as beside:
        # Folding the past and starting the JVM wait for different things.
        state = beside.submit(prepare_start, settings, options, stop, life)
        try:
            spark = open_session(settings, options.master, jars, options.checkpoint.parent)
        except BaseException:  # whatever it was, nothing may go on waiting for a champion
            stop.set()
            raise
        try:
            warm_workers(spark, settings)
            start = as_spark_json(settings.kafka.topic, state.result())
            if stop.is_set():
                return
            warm_workers(spark, settings)  # a champion that came meanwhile decides from the start
            query = start_query(spark, settings, options, start)
            gauges = partial(_gauges, query)
            with shown_metrics(settings, options.metrics_port, gauges=gauges):
                attend(query, stop, life.decided)
        finally:
            stop.set()
            _close(spark)


def prepare_start(
    settings: Settings, options: StreamOptions, stop: threading.Event, life: Life
) -> dict[int, int]:
    """First offsets (the checkpoint's, if there is one), with feature state built up to them."""
    held = checkpoint_offsets(options.checkpoint, settings.kafka.topic)
    if held is None and options.starting == FIRST_CHAMPION:
        await_champion(settings, stop, life)
    start = dict(held or resolve_start(settings, options.starting, stop, life))
    origin = "the checkpoint" if held else options.starting
    logger.info("starting from %s: %s", origin, start)
    if not stop.is_set():
        build_state(make_features(settings), start)
    return start


def warm_workers(spark: "SparkSession", settings: Settings) -> None:
    """Start a Python worker per core and let each load kernels and champion, all at once."""

    def warm(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return warm_task(settings, batches)

    cores = spark.sparkContext.defaultParallelism
    spark.sparkContext.setJobDescription("warm up the Python workers")
    spark.range(cores, numPartitions=cores).mapInArrow(warm, "id long").collect()
    logger.info("%d workers are warm", cores)


def start_query(
    spark: "SparkSession", settings: Settings, options: StreamOptions, starting: str
) -> "StreamingQuery":
    """Start the query; `starting` is ignored by Spark once the checkpoint has offsets.

    A task takes its share of the partitions, one after the other: what a task costs before its
    first record is paid once per core, not once per partition.
    """
    source = read_source(spark, settings, starting)
    shared = source.coalesce(spark.sparkContext.defaultParallelism)
    answers = shared.mapInArrow(_answering(settings), schema=ANSWER_DDL)
    return write_answers(answers, settings, options)


def write_answers(
    answers: "DataFrame", settings: Settings, options: StreamOptions
) -> "StreamingQuery":
    """Start writing rows of ANSWER_SCHEMA to Kafka, each to its own topic."""
    writer = (
        answers.writeStream.format("kafka")
        .queryName(QUERY_NAME)
        .options(**kafka_options(settings.kafka))
        .option("kafka.compression.type", "lz4")
        .option("kafka.linger.ms", "2")
        .option("kafka.max.request.size", str(LETTER_BYTES))
        .option("kafka.batch.size", "262144")
        .option("checkpointLocation", str(options.checkpoint))
    )
    if options.trigger_seconds > 0:
        writer = writer.trigger(processingTime=f"{options.trigger_seconds:g} seconds")
    return writer.start()


def read_source(spark: "SparkSession", settings: Settings, starting: str) -> "DataFrame":
    """The transaction topic as a stream of `SOURCE_COLUMNS`."""
    reader = (
        spark.readStream.format("kafka")
        .options(**kafka_options(settings.kafka))
        .option("subscribe", settings.kafka.topic)
        .option("startingOffsets", starting)
        .option("includeHeaders", "true")
        # Spark's reader asks for the topic's ends after every fetch, on a connection where the next
        # fetch already waits for records: without them that question took half a second.
        .option("kafka.fetch.max.wait.ms", "1")
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", str(settings.spark.max_offsets_per_trigger))
    )
    return reader.load().select(*SOURCE_COLUMNS)


def _answering(settings: Settings) -> Any:
    def answer(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return answer_task(settings, batches)

    return answer


def _gauges(query: "StreamingQuery") -> dict[str, float]:
    return query_gauges(query.lastProgress)


def attend(query: "StreamingQuery", stop: threading.Event, each_round: Callable[[], None]) -> None:
    """Wait until `stop` is set, then end the query; StreamError when it ends by itself.

    `each_round` is called when a micro-batch is over, or Spark has found that there is none.
    """
    logger.info("query %s runs: id %s", QUERY_NAME, query.id)
    each_round()
    said, batch = -1, None
    for look in itertools.count(1):
        if stop.wait(WATCH_SECONDS):
            break
        progress = _progress(query)
        if look % LOOKS_PER_LINE == 0:
            said = log_progress(progress, said)
        if progress is not None and progress["timestamp"] != batch:
            batch = progress["timestamp"]
            each_round()
    logger.info("stopping")
    _close(query)


def _progress(query: "StreamingQuery") -> Mapping[str, Any] | None:
    """Spark's word on the last micro-batch; StreamError unless the query goes on."""
    from py4j.protocol import Py4JError

    try:
        if not query.isActive:
            raise _ended(_first_line(query.exception()))
        progress: Mapping[str, Any] | None = query.lastProgress
        return progress
    except (Py4JError, OSError) as error:
        raise _ended(f"Spark's Java process is gone: {_first_line(error)}") from error


def _ended(cause: str) -> StreamError:
    return StreamError(
        "the streaming query ended",
        value=cause,
        remedy="See the log above; the supervisor starts it again from its checkpoint",
    )


def _first_line(error: Exception | None) -> str:
    if error is None:
        return "no reason given"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _close(ending: "StreamingQuery | SparkSession") -> None:
    """Stop a query or a session; the JVM may have had the same signal and be gone already."""
    from py4j.protocol import Py4JError

    try:
        ending.stop()
    except (Py4JError, OSError) as error:
        logger.warning("Spark did not stop cleanly: %s", _first_line(error))
