"""Code is loaded once for many checks, and what one check does costs no other."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gradcheck_cli.errors import GradcheckError, UnfinishedError
from gradcheck_cli.processes.sandbox_child import Supervisor
from gradcheck_cli.processes.warm import WarmProcesses

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")

LIMIT = 60.0  # s: what is noticed by then only is noticed too late
state = {"loaded": 0, "worked": 0}


def load() -> None:
    state["loaded"] += 1


def work(argument: Callable[[], object], supervisor: Supervisor) -> object:
    return supervisor.watch(argument)()


def ignore(entries: int) -> None:
    pass


@pytest.fixture
def warm() -> Iterator[WarmProcesses]:
    with WarmProcesses() as processes:
        yield processes


def run(
    warm: WarmProcesses,
    code: Callable[[], object],
    *,
    key: str = "file",
    load: Callable[[], None] = load,
    timeout: float = LIMIT,
) -> object:
    return warm.run(key, load, work, code, ignore, timeout)


def change() -> dict[str, int]:
    state["worked"] += 1
    return state


def end() -> None:
    os._exit(3)


def hang() -> None:
    time.sleep(LIMIT)


def kill_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(LIMIT)


def stop_parent() -> None:
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(LIMIT)


def fail() -> None:
    raise GradcheckError("importing it raised an error")


def start_thread() -> None:
    load()
    threading.Thread(target=time.sleep, args=(LIMIT,), daemon=True).start()


def test_the_code_is_loaded_once_and_no_work_sees_what_another_changed(
    warm: WarmProcesses,
) -> None:
    found = [run(warm, change) for _ in range(3)]
    assert found == [{"loaded": 1, "worked": 1}] * 3
    assert state == {"loaded": 0, "worked": 0}


def test_each_key_has_a_process_of_its_own(warm: WarmProcesses) -> None:
    parents = {run(warm, os.getppid, key=key) for key in ("a", "b", "a", "b")}
    assert len(parents) == 2


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (end, "the code ended its process with exit code 3"),
        (kill_parent, "the code ended its process by SIGKILL"),
        (hang, "a call did not return within 0.5 s"),
        (stop_parent, "a call did not return within 0.5 s"),
    ],
)
def test_a_fault_costs_one_work(warm: WarmProcesses, fault: Callable[[], None], says: str) -> None:
    assert run(warm, change) == {"loaded": 1, "worked": 1}
    with pytest.raises(UnfinishedError, match=says):
        run(warm, fault, timeout=0.5)
    assert run(warm, change) == {"loaded": 1, "worked": 1}


@pytest.mark.parametrize(
    ("load", "says"),
    [
        (fail, "importing it raised an error"),
        (end, "the code ended its process with exit code 3"),
        (hang, "a call did not return within 0.5 s"),
    ],
)
def test_what_loading_does_is_raised_each_time(
    warm: WarmProcesses, load: Callable[[], None], says: str
) -> None:
    for _ in range(2):
        with pytest.raises(GradcheckError, match=says):
            run(warm, change, load=load, timeout=0.5)


def test_a_process_with_threads_is_not_forked(warm: WarmProcesses) -> None:
    for _ in range(2):
        assert run(warm, change, load=start_thread) == {"loaded": 0, "worked": 1}


def test_a_file_that_loading_opened_can_be_read(warm: WarmProcesses, tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("data")

    def open_file() -> None:
        os.open(path, os.O_RDONLY)

    assert run(warm, Reader(path), load=open_file) == b"data"


class Reader:
    """Reads a file that is open already."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> bytes:
        for number in map(int, os.listdir("/dev/fd")):
            with suppress(OSError):
                if os.path.samestat(os.fstat(number), self.path.stat()):
                    return os.pread(number, 4, 0)
        return b""


def test_closing_ends_all_processes() -> None:
    with WarmProcesses() as warm:
        process = run(warm, os.getppid)
        assert isinstance(process, int)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_the_process_that_was_not_used_for_longest_makes_place_for_another() -> None:
    with WarmProcesses(most=2) as warm:
        first = {key: run(warm, os.getppid, key=key) for key in ("a", "b")}
        assert run(warm, os.getppid, key="a") == first["a"]
        run(warm, os.getppid, key="c")
        assert run(warm, os.getppid, key="a") == first["a"]
        assert run(warm, os.getppid, key="b") != first["b"]


def test_a_copy_in_another_process_loads_nothing_beforehand(warm: WarmProcesses) -> None:
    copy = pickle.loads(pickle.dumps(warm))
    assert run(copy, os.getppid) == os.getpid()
