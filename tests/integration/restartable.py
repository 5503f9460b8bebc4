"""A server that a test kills and starts again on the same port and data."""

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Restartable:
    """`is_ready` asks the server itself, from outside."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    is_ready: Callable[[], bool]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, seconds: float = 120.0) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as out:
            process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=self.log.parent,
                stdout=out,
                stderr=out,
            )
        self.running.append(process)
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            assert process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """As a power cut would."""
        while self.running:
            process = self.running.pop()
            process.kill()
            process.wait()
