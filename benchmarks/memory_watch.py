"""The most memory that this process and everything below it held at once."""

import threading
from types import TracebackType

import psutil

INTERVAL_SECONDS = 0.5


class MemoryWatch:
    """Samples the proportional set size (shared pages counted once) while it is open."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _tree_bytes(psutil.Process()))


def _tree_bytes(root: psutil.Process) -> int:
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += int(process.memory_full_info().pss)
        except psutil.Error:  # it ended meanwhile
            continue
    return total
