"""The state of the random generators that code draws from: the same before every call of it.

So a mask that is drawn in the forward is the same at every displaced point. Generators that the
code makes or hands around itself are its own affair.
"""

from __future__ import annotations

import inspect
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from msgspec import Struct

Result = TypeVar("Result")

PROBES = 3  # calls of a function in which it is looked for what it draws from; one costs some 50 µs
SEED = 0


class Stream(Struct, frozen=True):
    """A generator of random numbers that lives longer than a call.

    get, put: read and set its state; start: the state before every call; pickled: that as bytes.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], None]
    start: Any
    pickled: bytes

    def was_drawn_from(self) -> bool:
        """Whether its state is another than that before the call."""
        return pickle.dumps(self.get()) != self.pickled


class Randomness:
    """Calls functions with the same state of every generator that they draw from.

    drawn: those that were drawn from. The states that were there before are put back.
    """

    def __init__(self) -> None:
        self.drawn: dict[str, Stream] = {}
        self._probes: dict[str, int] = {}

    def call(self, who: str, function: Any, work: Callable[[], Result]) -> Result:
        """What `work` returns, which calls `function`, known as `who`."""
        probing = self._probes.get(who, 0) < PROBES
        self._probes[who] = self._probes.get(who, 0) + 1
        streams = list(find_streams(function)) if probing else list(self.drawn.values())
        streams = [self.drawn.get(stream.name, stream) for stream in streams]
        before = [stream.get() for stream in streams]
        try:
            for stream in streams:
                stream.put(stream.start)
            return work()
        finally:
            for stream, state in zip(streams, before, strict=True):
                if probing and stream.was_drawn_from():
                    self.drawn[stream.name] = stream
                stream.put(state)


def find_streams(function: Any) -> Iterator[Stream]:
    """The global generators, and those that stand in the module of a function."""
    yield from _global_streams(sys.modules.get("torch"))
    inner = inspect.unwrap(function) if callable(function) else function
    for name, value in list(getattr(inner, "__globals__", {}).items()):
        if isinstance(value, np.random.Generator):
            yield _stream_of(name, value)


def _stream(name: str, get: Callable[[], Any], put: Callable[[Any], None], start: Any) -> Stream:
    return Stream(name, get, put, start, pickle.dumps(start))


@cache
def _global_streams(torch: ModuleType | None) -> tuple[Stream, ...]:
    """Those of Python, numpy and torch, which start alike in every call."""
    of_numpy = _stream(
        "numpy.random",
        lambda: np.random.get_state(legacy=False),
        np.random.set_state,
        np.random.RandomState(SEED).get_state(legacy=False),
    )
    of_python = _stream("random", random.getstate, random.setstate, random.Random(SEED).getstate())
    return of_python, of_numpy, *([] if torch is None else [_stream_of_torch(torch)])


def _stream_of_torch(torch: Any) -> Stream:
    """The default generator of torch, its states as bytes: equal tensors may differ pickled."""

    def get() -> bytes:
        return bytes(torch.get_rng_state().numpy().tobytes())

    def put(state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))

    start = torch.Generator().manual_seed(SEED).get_state().numpy().tobytes()
    return _stream("torch", get, put, start)


def _stream_of(name: str, generator: np.random.Generator) -> Stream:
    bits = generator.bit_generator

    def put(state: Any) -> None:
        bits.state = state

    return _stream(f"its generator '{name}'", lambda: bits.state, put, bits.state)
