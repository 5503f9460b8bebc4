"""Single keys from a terminal, without Enter and without waiting."""

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, TextIO


class Keys:
    """Reads keys while the block runs, if its source (stdin) is a terminal; Ctrl-C stays Ctrl-C."""

    def __init__(self, source: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._before: list[Any] | None = None

    def __enter__(self) -> "Keys":
        if self._source is not None and self._source.isatty():
            self._before = termios.tcgetattr(self._source)
            tty.setcbreak(self._source)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._source, termios.TCSADRAIN, self._before)

    @property
    def can_be_pressed(self) -> bool:
        """Whether there is a terminal to press keys at."""
        return self._before is not None

    def pressed(self) -> str:
        """The next key that was pressed, or nothing."""
        if not self.can_be_pressed or not select.select([self._source], [], [], 0)[0]:
            return ""
        return os.read(self._source.fileno(), 1).decode(errors="replace")
