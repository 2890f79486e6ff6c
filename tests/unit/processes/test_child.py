"""One child: what it sends comes, its end is noticed however it comes, and it can be killed."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradcheck_cli.processes.child import Child, EndedError, Parent, start_method
from tests.support.command import run_words

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="closures are sent to forks alone")


def receive(child: Child) -> tuple[str, Any]:
    until = time.monotonic() + 5
    while not child.poll(0.1):
        assert time.monotonic() < until, "nothing came"
    return child.receive()


def test_messages_come_in_order_and_then_the_exit_code() -> None:
    def work(parent: Parent) -> None:
        parent.send("text", "a")
        parent.send("number", parent.receive() + 1)
        os._exit(3)

    with Child(work) as child:
        child.send(41)
        assert [receive(child), receive(child)] == [("text", "a"), ("number", 42)]
        with pytest.raises(EndedError, match=r"^with exit code 3$"):
            receive(child)


def write(descriptor: int, text: bytes) -> None:
    os.write(descriptor, text)
    time.sleep(60)


def close_all() -> None:
    os.closerange(3, 256)
    time.sleep(60)


ENDS: dict[str, tuple[Callable[[Parent], object], str]] = {
    "it returns": (lambda parent: None, "with exit code 0"),
    "it raises": (lambda parent: 1 / 0, "with exit code 1"),
    "it is killed": (lambda parent: os.kill(os.getpid(), signal.SIGKILL), "by SIGKILL"),
    "a copy of it holds the pipe": (lambda parent: os.fork() and os._exit(4), "with exit code 4"),
    "it closes all": (lambda parent: close_all(), "by closing its pipe"),
    "text": (lambda parent: write(parent.connection.fileno(), b"text\n"), "by closing its pipe"),
    "zeros": (lambda parent: write(parent.connection.fileno(), bytes(4)), "by closing its pipe"),
    "a part of a message": (
        lambda parent: write(parent.connection.fileno(), b"\0\0\1\0part"),
        "by closing its pipe",
    ),
}


@pytest.mark.parametrize("way", ENDS)
def test_an_end_is_noticed_however_it_comes(way: str) -> None:
    work, how = ENDS[way]

    def serve(parent: Parent) -> None:
        sys.stderr = io.StringIO()
        if work(parent) == 0:  # the copy
            time.sleep(3)

    started = time.monotonic()
    with Child(serve, own_group=True) as child, pytest.raises(EndedError, match=f"^{how}"):
        receive(child)
    assert time.monotonic() - started < 5


def test_a_copy_of_a_child_that_code_forked_sends_nothing() -> None:
    def work(parent: Parent) -> None:
        copied = os.fork() == 0
        parent.send("from", os.getpid())
        assert not copied, "the copy came back"
        os.wait()

    with Child(work) as child:
        assert receive(child) == ("from", child.process.pid)
        with pytest.raises(EndedError, match="with exit code 0"):
            receive(child)


def test_what_a_child_started_is_killed_with_its_group() -> None:
    def work(parent: Parent) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        started = os.fork()
        if started:
            parent.send("started", started)
        time.sleep(60)

    with Child(work, own_group=True) as child:
        _, started = receive(child)
    until = time.monotonic() + 5
    while Path(f"/proc/{started}/cmdline").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{started}").exists()


HELD = """
import os
import signal
from gradcheck_cli.processes.signals import hold_signals

signal.signal(signal.SIGINT, signal.default_int_handler)
done = []
try:
    with hold_signals():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the block")
except KeyboardInterrupt:
    done.append("interrupted")
assert done == ["the block", "interrupted"], done
assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""


def test_ctrl_c_waits_until_a_block_is_done() -> None:
    """In a process of one thread: another thread of the test runner would take the signal."""
    done = run_words([sys.executable, "-c", HELD])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("platform", "method"), [("linux", "fork"), ("darwin", "spawn")])
def test_only_linux_forks(platform: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert start_method() == method
