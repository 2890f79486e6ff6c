"""The user's code in a process of its own: what it does there is noticed, and costs little."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from gradcheck_cli.errors import GradcheckError, UnfinishedError
from gradcheck_cli.processes.sandbox import run_in_sandbox
from gradcheck_cli.processes.sandbox_child import Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="closures are sent to forks alone")

TIMEOUT = 60.0  # s: what is noticed by then only is noticed too late


def run(code: Callable[[], object], timeout: float = TIMEOUT) -> object:
    def work(argument: object, supervisor: Supervisor) -> object:
        return supervisor.watch(code)()

    return run_in_sandbox(work, None, lambda entries: None, timeout)


def double(x: int) -> int:
    return 2 * x


def write_to_all_descriptors() -> None:
    for descriptor in range(3, 64):
        with suppress(OSError):
            os.write(descriptor, b"written by the code\n")
    time.sleep(TIMEOUT)


def close_all_descriptors() -> None:
    os.closerange(3, 256)
    time.sleep(TIMEOUT)


def write_a_little() -> None:
    """Some go to the file that faulthandler writes to, which then seems to tell of a timeout."""
    for descriptor in range(3, 40):
        with suppress(OSError):
            os.write(descriptor, b"\x80\x04garbage" * 100)


def fork_and_crash() -> None:
    if os.fork() == 0:
        time.sleep(TIMEOUT)
    os.kill(os.getpid(), signal.SIGSEGV)


DESCRIPTORS = "the code closed or wrote to a file descriptor that it did not open"
FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "exits": (lambda: os._exit(0), "the code ended its process with exit code 0"),
    "forks and crashes": (fork_and_crash, "the code ended its process by SIGSEGV"),
    "closes descriptors": (close_all_descriptors, DESCRIPTORS),
    "writes to descriptors": (write_to_all_descriptors, DESCRIPTORS),
    "closes descriptors and returns": (lambda: os.closerange(3, 256), DESCRIPTORS),
    "writes to descriptors and returns": (write_a_little, DESCRIPTORS),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_code_is_noticed_at_once(fault: str) -> None:
    code, sentence = FAULTS[fault]
    started = time.monotonic()
    with pytest.raises(UnfinishedError, match=f"^{sentence}$"):
        run(code)
    assert time.monotonic() - started < TIMEOUT / 6


def test_descriptors_of_the_parent_lead_nowhere() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with pytest.raises(UnfinishedError):
        run(write_to_all_descriptors)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    os.close(reading)
    os.close(writing)


def test_code_may_use_multiprocessing() -> None:
    def use_pool() -> list[int]:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(double, range(4))

    assert run(use_pool) == [0, 2, 4, 6]


def test_a_fork_that_comes_back_sends_no_second_result() -> None:
    assert isinstance(run(os.fork), int)


def test_a_call_that_hangs_is_named_with_its_line() -> None:
    with pytest.raises(UnfinishedError, match=r"did not return within 0\.3 s") as caught:
        run(lambda: time.sleep(TIMEOUT), timeout=0.3)
    assert "run(lambda: time.sleep(TIMEOUT), timeout=0.3)" in str(caught.value)


def test_what_is_kept_is_there_when_the_rest_is_never_done() -> None:
    def work(argument: object, supervisor: Supervisor) -> None:
        supervisor.keep("early")
        os._exit(1)

    with pytest.raises(UnfinishedError) as caught:
        run_in_sandbox(work, None, lambda entries: None, None)
    assert caught.value.early == "early"


def test_an_error_of_the_work_is_raised_here() -> None:
    def fail() -> None:
        raise GradcheckError("a sentence")

    with pytest.raises(GradcheckError, match=r"^a sentence$"):
        run(fail)


def test_prints_are_limited_by_characters_too(capfd: pytest.CaptureFixture[str]) -> None:
    run(lambda: [print("." * 100, end="") for _ in range(1000)] and None)
    printed = capfd.readouterr().err
    assert len(printed) < 5000
    assert printed.endswith("\n… and 96,000 more characters that the code printed\n")
