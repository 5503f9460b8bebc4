"""A page of metrics in Prometheus' format, served from this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from contracts.errors import FraudError

logger = logging.getLogger(__name__)


class MetricsError(FraudError):
    """The metrics page cannot be served."""


@contextmanager
def served_page(port: int, collector: Collector) -> Iterator[int]:
    """Serve what a collector says on 127.0.0.1 for the length of the block; the port (of 0: any).

    Raises:
        MetricsError: the port is taken.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise MetricsError(
            f"the metrics page cannot be served: {error}",
            value=port,
            remedy="Free the port, or choose another with --metrics-port",
        ) from error
    logger.info("metrics at http://127.0.0.1:%d/metrics", server.server_port)

    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
