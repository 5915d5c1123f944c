"""Random calls of what carries data, arrays, files, streams, shared memory: bytes are compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import numapool as nump

from .draws import MOST_BYTES, NO_MACHINE, Draw
from .surface import Tools, refused_or

_TYPES = ("f4", "i8", "u1", "S5", "U3", "m8[ns]", "c16", "f4,i2", "O", "V0", "V7", "x")


def _shape(draw: Draw) -> Any:
    """Return a shape of little, or of what no machine has; or none."""
    other = draw.other()
    if draw.integer(0, 5) == 0 and not isinstance(other, list):
        return other[:2] if isinstance(other, bytes) else other  # a sequence of integers to NumPy
    drawn = [draw.anything() for _ in range(draw.pick(0, 1, 1, 2, 3))]
    shape = [one for one in drawn if not isinstance(one, list | bytes)]
    numbers = [abs(one) for one in shape if isinstance(one, int) and one]
    if MOST_BYTES // 256 < math.prod(numbers) < NO_MACHINE:
        shape = [one % 40 if isinstance(one, int) else one for one in shape]
    return draw.pick(tuple(shape), shape, shape[0] if len(shape) == 1 else ())


def arrays(draw: Draw, tools: Tools) -> None:
    shape, dtype = _shape(draw), draw.pick(draw.pick(*_TYPES), draw.other())
    try:
        if np.dtype(dtype).itemsize > 64:
            return
    except SyntaxError:  # NumPy evaluates numbers in such a string
        return
    except (TypeError, ValueError):
        pass
    order = draw.pick("C", "F", draw.other())
    made = refused_or(
        lambda: nump.zeros(shape, dtype, order, node=draw.node(), allocator=tools.allocator)
    )
    if made is not None:
        like = np.zeros(shape, dtype, order)
        assert made.shape == like.shape
        assert made.dtype == like.dtype
        assert made.strides == like.strides
        assert made.nbytes == 0 or not any(made.tobytes())
    fill = draw.other()
    refused_or(lambda: nump.full((3, 2), fill, dtype, pool=tools.pool))


def copies(draw: Draw, tools: Tools) -> None:
    thing = draw.pick(
        draw.data(64),
        [draw.real(), draw.number()],
        draw.other(),
        np.frombuffer(draw.data(64), "u1"),
    )
    dtype = draw.pick(None, *_TYPES)
    made = refused_or(lambda: nump.asarray(thing, dtype, node=draw.node(), pool=tools.pool))
    if made is not None:
        like = np.asarray(thing, dtype)
        assert made.dtype == like.dtype
        assert made.tobytes() == like.tobytes()


def files(draw: Draw, tools: Tools) -> None:
    """Transfer any stretch; what is in the file and in the buffer afterwards is compared."""
    had = tools.file.read_bytes()
    at = draw.pick(0, draw.integer(0, 20_000), draw.anything())
    size = draw.pick(None, draw.integer(0, 20_000), draw.anything())
    direct, reads, wrong = draw.flag(), draw.integer(0, 2) > 0, draw.other()
    buffer = tools.pool.acquire(draw.integer(1, 20_000))
    with memoryview(buffer) as view, view[draw.integer(0, len(view)) :] as part:
        view[:] = bytes([draw.integer(0, 255)]) * len(view)
        before = bytes(part)
        into = draw.pick(part, part, part, buffer, wrong)
        if into is buffer:
            before = bytes(view)
        if reads:
            done = refused_or(lambda: nump.read_into(tools.file, into, at, size, direct=direct))
        elif not isinstance(at, int) or at <= 70_000:  # sparse else, and read above
            done = refused_or(lambda: nump.write_from(tools.file, into, at, size, direct=direct))
        else:
            done = None
        if done is not None and into is not wrong:
            asked = len(before) if size is None else int(size)
            after = bytes(view if into is buffer else part)
            if reads:
                assert after[: done.nbytes] == had[int(at) : int(at) + asked]
            else:
                assert done.nbytes == asked
                now = tools.file.read_bytes()
                assert now[int(at) : int(at) + asked] == before[:asked]
                assert now[: int(at)].rstrip(b"\0") == had[: int(at)].rstrip(b"\0")
                assert now[int(at) + asked :] == had[int(at) + asked :]
            assert not reads or after[done.nbytes :] == before[done.nbytes :]
    buffer.close()


def streams(draw: Draw, tools: Tools) -> None:
    held = tools.file.read_bytes()
    block = draw.pick(4096, draw.integer(1, 9000), draw.anything())
    depth = draw.pick(1, 2, draw.integer(-1, 4), draw.other())
    at = draw.pick(0, draw.integer(0, 20_000), draw.anything())
    size = draw.pick(None, draw.integer(0, 20_000), draw.anything())
    node = draw.pick("near", "near", draw.node(), draw.other())
    if isinstance(block, int) and not 64 <= block < NO_MACHINE >> 8:
        block = 64 if 0 < block < 64 else -1
    if isinstance(block, int) and block > MOST_BYTES >> 4:
        block %= MOST_BYTES >> 4
    made = refused_or(
        lambda: nump.stream(tools.file, block, depth, node, tools.pool, offset=at, size_bytes=size)
    )
    if made is None:
        return
    came = b""
    for piece in made:
        came += bytes(memoryview(piece.buffer)[: piece.nbytes])
        piece.close()
    end = None if size is None else int(at) + int(size)
    assert came == held[int(at) : end]


def shared(draw: Draw, tools: Tools) -> None:
    size, node, data = draw.size(), draw.node(), draw.data(16)
    made = refused_or(lambda: nump.SharedNodeBuffer(size, node, strict=draw.flag()))
    if made is None:
        return
    with made:
        made[: len(data)] = data[: len(made)]
        parts = made.handle.split(":")
        for _ in range(draw.integer(0, 2)):
            parts[draw.integer(0, len(parts) - 1)] = draw.pick(str(draw.number()), draw.text(8))
        handle = ":".join(parts)
        again = refused_or(lambda: nump.SharedNodeBuffer.attach(handle))
        if again is not None:
            assert len(again) == len(made)
            assert again[:16] == made[:16]
            again.close()
        refused_or(lambda: nump.SharedNodeBuffer.attach(draw.other()))


#: By name, as in surface.py.
TARGETS: dict[str, Callable[[Draw, Tools], None]] = {
    call.__name__: call for call in (arrays, copies, files, streams, shared)
}
