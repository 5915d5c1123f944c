"""pa.py_buffer of a NodeBuffer, and arrow_buffer: Arrow data on a node."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from support.optional import needed

import numapool as nump
from numapool.memory.object_memory import extents_of


@pytest.fixture(scope="module")
def pa() -> Any:
    return needed("pyarrow")


def test_py_buffer_is_the_same_memory(pa: Any, allocator: nump.NumaAllocator) -> None:
    buffer = allocator.allocate(8000)
    arrow = pa.py_buffer(buffer)
    assert (arrow.address, arrow.size, arrow.is_mutable) == (buffer.address, 8000, True)
    numbers = pa.Array.from_buffers(pa.int64(), 1000, [None, arrow])
    memoryview(buffer).cast("q")[999] = 5
    assert numbers[999].as_py() == 5
    del arrow
    with pytest.raises(BufferError):
        buffer.close()
    del numbers
    gc.collect()
    buffer.close()


def test_a_size_makes_a_writable_buffer(pa: Any, node: int) -> None:
    arrow = nump.arrow_buffer(10_000, node=node, strict=True)
    assert isinstance(arrow, pa.Buffer)
    assert (arrow.size, arrow.is_mutable) == (10_000, True)
    assert nump.placement_of(arrow).bytes_by_node.keys() == {node}


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"xaxbxc")[1::2]])
def test_bytes_are_copied(pa: Any, node: int, data: Any) -> None:
    copied = nump.arrow_buffer(data, node=node)
    assert copied.to_pybytes() == b"abc"
    assert (
        nump.arrow_buffer(pa.py_buffer(data), node=node).equals(copied)
        if isinstance(data, bytes)
        else True
    )
    assert nump.arrow_buffer(b"").size == 0


def tables(pa: Any) -> list[Any]:
    return [
        pa.table(
            {
                "number": [1, None, 3],
                "text": ["a", "", None],
                "word": pa.array(["x", "y", "x"]).dictionary_encode(),
                "list": [[1], None, [2, 3]],
                "record": [{"p": 1, "q": "r"}, {"p": None, "q": None}, None],
            }
        ),
        pa.table({"number": list(range(10_000))}).slice(5000, 17),
        pa.table({"nothing": pa.array([], pa.string())}),
    ]


def test_tables_batches_and_arrays_are_copied_whole(pa: Any, node: int) -> None:
    for table in tables(pa):
        copied = nump.arrow_buffer(table, node=node)
        assert copied.equals(table)
        copied.validate(full=True)
        for column in table.columns:
            chunked = nump.arrow_buffer(column, node=node)
            assert (type(chunked), chunked.equals(column)) == (type(column), True)
            for chunk in column.chunks:
                alone = nump.arrow_buffer(chunk, node=node)
                assert (type(alone), alone.equals(chunk)) == (type(chunk), True)
        for batch in table.to_batches():
            assert nump.arrow_buffer(batch, node=node).equals(batch)


def test_all_buffers_are_in_memory_of_the_node(pa: Any, node: int) -> None:
    with nump.BufferPool() as pool:
        copied = nump.arrow_buffer(tables(pa)[0], node=node, pool=pool, strict=True)
        assert nump.placement_of(copied).bytes_by_node.keys() == {node}
        assert pool.statistics().by_node[node].in_use_bytes > 0
        addresses = [one.address for one in extents_of(copied)]
        assert max(addresses) - min(addresses) < 1 << 16  # one block
        part = copied.column("text").slice(1)
        del copied
        assert part.to_pylist() == ["", None]
        assert pool.statistics().total.in_use_bytes > 0
        del part
        gc.collect()
        assert pool.statistics().total.in_use_bytes == 0


def test_errors(pa: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(nump.NodeNotFoundError):
        nump.arrow_buffer(b"abc", node=4000)
    with pytest.raises(ValueError, match="at least 1"):
        nump.arrow_buffer(0)
    with pytest.raises(TypeError):
        nump.arrow_buffer([1, 2])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        nump.arrow_buffer(10)
