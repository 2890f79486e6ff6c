"""Set the random generators that the user's code draws from to the same state before every call.

So a mask that the forward draws is the same at every displaced point. Generators that the code
itself makes or passes around are not touched.
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

PROBES = 3  # calls of each function in which all generators are watched; that takes some 50 µs
SEED = 0


class Stream(Struct, frozen=True):
    """A random generator that exists longer than a call.

    get, put: read and set its state. start: the state before every call; pickled: the same as
    bytes.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], None]
    start: Any
    pickled: bytes

    def was_drawn_from(self) -> bool:
        """Whether its state differs from that before the call."""
        return pickle.dumps(self.get()) != self.pickled


class Randomness:
    """Calls functions with the same state of every generator, and restores the states afterwards.

    drawn: the generators that were drawn from, by name.
    """

    def __init__(self) -> None:
        self.drawn: dict[str, Stream] = {}
        self._probes: dict[str, int] = {}

    def call(self, who: str, function: Any, work: Callable[[], Result]) -> Result:
        """Run `work`, which calls `function`; who: the name of that function."""
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
    """The global generators, and those that are variables in the module of a function."""
    yield from _global_streams(sys.modules.get("torch"))
    inner = inspect.unwrap(function) if callable(function) else function
    for name, value in list(getattr(inner, "__globals__", {}).items()):
        if isinstance(value, np.random.Generator):
            yield _stream_of(name, value)


def _make_stream(
    name: str, get: Callable[[], Any], put: Callable[[Any], None], start: Any
) -> Stream:
    return Stream(name, get, put, start, pickle.dumps(start))


@cache
def _global_streams(torch: ModuleType | None) -> tuple[Stream, ...]:
    """The global generators of Python, numpy and torch."""
    of_numpy = _make_stream(
        "numpy.random",
        lambda: np.random.get_state(legacy=False),
        np.random.set_state,
        np.random.RandomState(SEED).get_state(legacy=False),
    )
    of_python = _make_stream(
        "random", random.getstate, random.setstate, random.Random(SEED).getstate()
    )
    return of_python, of_numpy, *([] if torch is None else [_stream_of_torch(torch)])


def _stream_of_torch(torch: Any) -> Stream:
    """The default generator of torch; its states are bytes, as equal tensors may differ pickled."""

    def get() -> bytes:
        return bytes(torch.get_rng_state().numpy().tobytes())

    def put(state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))

    start = torch.Generator().manual_seed(SEED).get_state().numpy().tobytes()
    return _make_stream("torch", get, put, start)


def _stream_of(name: str, generator: np.random.Generator) -> Stream:
    bits = generator.bit_generator

    def put(state: Any) -> None:
        bits.state = state

    return _make_stream(f"its generator '{name}'", lambda: bits.state, put, bits.state)
