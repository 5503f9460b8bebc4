"""After the warm-up no batch waits for a compiler."""

import subprocess
import sys
from pathlib import Path

from inference_fakes import FakeModel, source, transaction
from numba.core.dispatcher import Dispatcher
from scorer_rig import decisions, scorer

from inference.warm import load_kernels

ROOMS = ("contracts.", "features.", "inference.")
SIZES = (1, 2, 3, 50)


def compiled() -> dict[str, int]:
    """How many variants of each kernel this process has."""
    modules = [module for name, module in sys.modules.items() if name.startswith(ROOMS)]
    found = [value for module in modules for value in vars(module).values()]
    return {
        f"{kernel.py_func.__module__}.{kernel.py_func.__name__}": len(kernel.signatures)
        for kernel in found
        if isinstance(kernel, Dispatcher)
    }


def main() -> None:
    """Fail if deciding batches of several sizes compiles or loads a kernel after the warm-up."""
    load_kernels()
    before = compiled()
    assert before["features.encoding.encode_rows"] > 0
    for size in SIZES:
        batch = source([transaction(row) for row in range(size)])
        answers = scorer().score(batch, committed={0: 0}, model=FakeModel())
        assert len(decisions(answers)) == size
    added = {name: n for name, n in compiled().items() if n != before.get(name)}
    assert not added, added


def test_no_batch_needs_a_kernel_that_the_warm_up_did_not_load() -> None:
    """Whatever a batch's size: in a process of its own, where nothing else has loaded kernels."""
    command = [sys.executable, __file__]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    main()
