"""A Parquet file, row group by row group, in Arrow tables on the node that works on them.

Run it as ``python examples/parquet_on_node.py``: it writes a small file first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import numapool as nump


def row_groups_on_node(path: Path, pool: nump.BufferPool, node: int) -> Any:
    """Yield each row group as a table whose buffers are all one block of the pool, on the node."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield nump.arrow_buffer(file.read_row_group(number), node=node, pool=pool)


def main() -> None:
    """Sum a column, and show where the tables were."""
    node = nump.NumaTopology.detect().nearest(0)[0]
    with tempfile.TemporaryDirectory() as folder, nump.BufferPool() as pool:
        path = Path(folder) / "numbers.parquet"
        numbers = list(range(100_000))
        table = pa.table({"number": numbers, "text": [str(number) for number in numbers]})
        pq.write_table(table, path, row_group_size=25_000)
        total = 0
        for group in row_groups_on_node(path, pool, node):
            total += pc.sum(group["number"]).as_py()
            there = set(nump.placement_of(group).bytes_by_node) == {node}
            print(f"{group.num_rows} rows, all on node {node}: {there}")
        del group
        counts = pool.statistics().total
        asked = counts.hits + counts.misses
        print(f"sum {total}; the pool served {counts.hits} of {asked} tables again")


if __name__ == "__main__":
    main()
