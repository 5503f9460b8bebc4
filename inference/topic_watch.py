"""Ends a stream whose topics are no longer those that its state and features were made for."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contracts.errors import BrokerError, TopicError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
LOOKS = 2


@contextmanager
def watched_topics(
    check: Callable[[], None], stop: threading.Event, *, look_seconds: float = LOOK_SECONDS
) -> Iterator[None]:
    """Check before the block and beside it; a TopicError sets `stop`, and is raised at the end.

    A broker that is away for a moment says nothing about its topics, and one that has just come
    back may not know them all yet: only a second look in a row ends the stream.

    Raises:
        TopicError: a topic is missing, or has another number of partitions.
        BrokerError: Kafka is out of reach at the start.
    """
    check()
    ended, refusals = threading.Event(), list[TopicError]()

    def watch() -> None:
        while len(refusals) < LOOKS and not ended.wait(look_seconds):
            try:
                check()
                refusals.clear()
            except TopicError as error:
                logger.error("look %d of %d: %s", len(refusals) + 1, LOOKS, error)
                refusals.append(error)
            except BrokerError as error:
                logger.debug("no look at the topics: %s", error)
            if len(refusals) == LOOKS:
                stop.set()

    watcher = threading.Thread(target=watch, name="topic-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        if len(refusals) == LOOKS:
            raise refusals[0]
