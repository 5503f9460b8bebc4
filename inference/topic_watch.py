"""Ends a stream whose topics are no longer those that its state and features were made for."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contracts.errors import BrokerError, TopicError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0


@contextmanager
def watched_topics(
    check: Callable[[], None], stop: threading.Event, *, look_seconds: float = LOOK_SECONDS
) -> Iterator[None]:
    """Check before the block and beside it; a TopicError sets `stop`, and is raised at the end.

    A broker that is away for a moment says nothing about its topics.

    Raises:
        TopicError: a topic is missing, or has another number of partitions.
        BrokerError: Kafka is out of reach at the start.
    """
    check()
    ended, refusals = threading.Event(), list[TopicError]()

    def watch() -> None:
        while not refusals and not ended.wait(look_seconds):
            try:
                check()
            except TopicError as error:
                logger.error("stopping: %s", error)
                refusals.append(error)
                stop.set()
            except BrokerError as error:
                logger.debug("no look at the topics: %s", error)

    watcher = threading.Thread(target=watch, name="topic-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        if refusals:
            raise refusals[0]
