"""What runs in Spark's Python workers: each process keeps a scorer and models between batches."""

import gc
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from contracts.errors import RegistryError, StoreError
from contracts.settings import Settings
from inference.arrow_frames import answer_rows, source_batch
from inference.assembly import make_pins, make_pool, make_scorer
from inference.model_pool import ModelPool
from inference.pins import Pins
from inference.pipelines import make_tallies
from inference.ports import Model
from inference.scorer import Scorer
from inference.tallies import Meter
from inference.warm import load_kernels

logger = logging.getLogger(__name__)

NO_MODEL = "none"
BATCH_PROPERTY = "streaming.sql.batchId"
QUERY_PROPERTY = "sql.streaming.queryId"


@dataclass(frozen=True, slots=True)
class Task:
    """The micro-batch that a task belongs to."""

    query_id: str
    batch_id: int


class Worker:
    """Answers the rows of one task after the other."""

    def __init__(self, scorer: Scorer, pool: ModelPool, pins: Pins, meter: Meter) -> None:
        self._scorer = scorer
        self._pool = pool
        self._pins = pins
        self._meter = meter

    def answer(self, task: Task, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Answer a task's rows: contiguous ranges of partitions, one after the other, in order.

        The whole task may be replayed, so a partition's first offset is the committed one for all
        of its rows.
        """
        committed: dict[int, int] = {}
        model: Model | None = None
        for rows in batches:
            if rows.num_rows == 0:
                continue
            batch = source_batch(rows)
            if not committed:
                model = self.pinned_model(task)
            for span in batch.spans:
                committed.setdefault(span.partition, batch.first_offset(span))
            answers = self._scorer.score(
                batch,
                committed=committed,
                model=model,
                challenger=self._pool.challenger,
            )
            self._meter.count(answers.tally, batch)
            yield answer_rows(answers, task.batch_id)
        self._scorer.mark(committed)

    def refresh(self) -> None:
        """Take over the champion now, not at the next look."""
        self._pool.refresh()

    def pinned_model(self, task: Task) -> Model | None:
        """The one model of this micro-batch; None: the rules decide."""
        champion = self._pool.champion
        proposed = champion.version if champion else NO_MODEL
        try:
            version = self._pins.pin(task.query_id, task.batch_id, proposed)
            return None if version == NO_MODEL else self._pool.get(version)
        except StoreError as error:
            logger.warning("batch %d falls back: no pin: %s", task.batch_id, error)
        except RegistryError as error:
            logger.warning("batch %d falls back: pinned model: %s", task.batch_id, error)
        self._meter.count({"pin_failures": 1})
        return None


@cache
def process_worker(settings: Settings) -> Worker:
    """This process's worker; the first call loads the champion and starts to follow it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    pool = make_pool(settings)
    pool.refresh()
    pool.follow()
    meter = Meter(make_tallies(settings))
    meter.start()
    worker = Worker(make_scorer(settings, meter), pool, make_pins(settings), meter)
    # Spark's daemon collects garbage after every task: half a second when it has to look at all
    # that scoring holds for good.
    gc.collect()
    gc.freeze()
    return worker


def warm_task(settings: Settings, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Load kernels and champion in a worker ahead of the first micro-batch; passes rows on."""
    load_kernels()
    process_worker(settings).refresh()
    yield from batches


def answer_task(settings: Settings, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What `mapInArrow` calls in a worker, once per task."""
    from pyspark import TaskContext

    context = TaskContext.get()
    task = Task(
        context.getLocalProperty(QUERY_PROPERTY), int(context.getLocalProperty(BATCH_PROPERTY))
    )
    return process_worker(settings).answer(task, batches)
