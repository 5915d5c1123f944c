"""MPI ranks on nodes: a table for each node that its ranks share, and messages received there.

Run it as ``mpirun -n 4 numapool run --by-rank -- python examples/mpi_on_nodes.py``: each rank is on
one node, in turns.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

import numapool as nump

ROWS = 1 << 16


def shared_by(team: MPI.Comm, size_bytes: int, node: int) -> nump.SharedNodeBuffer:
    """Return memory on a node, the same for all ranks of a team on one machine."""
    first = nump.SharedNodeBuffer(size_bytes, node) if team.rank == 0 else None
    handle = team.bcast(None if first is None else first.handle)
    shared = nump.SharedNodeBuffer.attach(handle) if first is None else first
    team.Barrier()  # the first keeps it open until all have it
    return shared


def main() -> None:
    """Fill a table on each node, and pass a block of it around."""
    world = MPI.COMM_WORLD
    bound = nump.bound_node()
    node = nump.nodes("local").ids[0] if bound is None else bound
    machine = world.Split_type(MPI.COMM_TYPE_SHARED)  # the ranks that can share memory
    team = machine.Split(color=node, key=machine.rank)  # those on this node

    with shared_by(team, ROWS * 8, node) as shared:
        table = np.frombuffer(shared, np.float64)
        table[team.rank :: team.size] = world.rank  # each rank a part of it
        team.Barrier()

        with nump.NumaAllocator().allocate(ROWS * 8, node) as buffer:
            there, back = (world.rank + 1) % world.size, (world.rank - 1) % world.size
            world.Sendrecv(table, dest=there, recvbuf=[buffer, MPI.DOUBLE], source=back)
            received = float(buffer.as_array(np.float64).sum())
            placed = sorted(buffer.placement().bytes_by_node)
        total = float(table.sum())
        del table
        team.Barrier()  # no rank closes it while another reads

    told = (world.rank, node, team.size, placed, received, total)
    lines = world.gather(told)
    for rank, at, ranks, nodes, got, own in lines or []:
        print(f"rank {rank} of {ranks} on node {at}: received on {nodes}: {got:.0f}, own {own:.0f}")


if __name__ == "__main__":
    main()
