"""SharedNodeBuffer: one block of memory in several processes."""

from __future__ import annotations

import errno
import fcntl
import gc
import mmap
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.child import run

import numapool as nump
from numapool.memory import shared as shared_module

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="this system has no memfd_create(2)"
)
SIZE = 100_001


@pytest.fixture
def shared(node: int) -> Iterator[nump.SharedNodeBuffer]:
    with nump.SharedNodeBuffer(SIZE, node, strict=True) as made:
        yield made


def open_memfds() -> int:
    names = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except FileNotFoundError:  # the folder's own
            continue
    # mmap has a descriptor of its own; all of one memory have its name.
    return len({name for name in names if "memfd:numapool" in name})


def test_every_page_is_on_the_node_at_once(shared: nump.SharedNodeBuffer, node: int) -> None:
    whole = -(-SIZE // mmap.PAGESIZE) * mmap.PAGESIZE
    assert shared.placement().bytes_by_node == {node: whole}
    assert (shared.node_id, shared.requested_node, shared.nbytes) == (node, node, SIZE)
    assert (shared.step, shared.bound) == (nump.AllocationStep.PREFERRED, True)
    array = np.frombuffer(shared, np.uint8)
    assert array.__array_interface__["data"][0] == shared.address
    assert not array.any()
    assert array.flags.writeable
    assert nump.migrate(shared, node).complete
    del array


def test_nobody_can_change_its_size(shared: nump.SharedNodeBuffer) -> None:
    fd = int(shared.handle.split(":")[2])
    for size in (0, SIZE - 1, SIZE * 2):
        with pytest.raises(OSError) as error:
            os.ftruncate(fd, size)
        assert error.value.errno == errno.EPERM
    with pytest.raises(OSError):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(fd)


def test_close_waits_for_views(node: int) -> None:
    before = open_memfds()
    shared = nump.SharedNodeBuffer(SIZE, node)
    assert open_memfds() == before + 1
    view = memoryview(shared)
    with pytest.raises(BufferError):
        shared.close()
    with shared:
        pass
    view[0] = 1
    view.release()
    shared.close()
    shared.close()
    assert shared.closed
    assert open_memfds() == before
    with pytest.raises(ValueError, match="closed"):
        _ = shared.handle
    array = np.frombuffer(nump.SharedNodeBuffer(SIZE, node), np.uint8)
    del array
    gc.collect()
    assert open_memfds() == before


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_of_multiprocessing_share_it(node: int, method: str) -> None:
    code = f"""
        from test_shared import pass_to_child

        if __name__ == "__main__":
            pass_to_child({method!r}, {node})
            print("shared")
    """
    done = run(code)
    assert (done.returncode, done.stdout) == (0, "shared\n"), done.stderr


def pass_to_child(method: str, node: int) -> None:
    """Run in a process of its own, which fork and multiprocessing's helpers disturb in nothing."""
    context: Any = multiprocessing.get_context(method)
    shared = nump.SharedNodeBuffer(SIZE, node)
    array = np.frombuffer(shared, np.uint8)
    array[0] = 41
    theirs, ours = context.Pipe()
    child = context.Process(target=answer_in_child, args=(shared, theirs))
    child.start()
    assert ours.recv() == (41, SIZE, node)
    assert array[-1] == 42
    again = ours.recv()
    assert again.address != shared.address
    array[5] = 5
    assert again[5] == 5
    ours.send("done")
    child.join()
    assert child.exitcode == 0
    again.close()


def answer_in_child(shared: nump.SharedNodeBuffer, connection: Any) -> None:
    array = np.frombuffer(shared, np.uint8)
    array[-1] = array[0] + 1
    connection.send((int(array[0]), shared.nbytes, *shared.requested_nodes))
    connection.send(shared)  # and back, over a pipe
    assert connection.recv() == "done"


def test_pickling_for_anything_else_is_refused(shared: nump.SharedNodeBuffer) -> None:
    with pytest.raises(TypeError, match="handle"):
        pickle.dumps(shared)


ATTACH = """
import sys
import numapool as nump
try:
    with nump.SharedNodeBuffer.attach(sys.argv[1]) as shared:
        shared[0] = shared[1] + 1
        nodes = sorted(shared.placement().bytes_by_node)
        print(shared.nbytes, shared.requested_node, shared.step.name, nodes)
except OSError as error:
    print(type(error).__name__)
"""


def attach_elsewhere(handle: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ATTACH, handle], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_unrelated_process_attaches_by_the_handle(
    shared: nump.SharedNodeBuffer, node: int
) -> None:
    shared[1] = 6
    assert attach_elsewhere(shared.handle) == f"{SIZE} {node} PREFERRED [{node}]"
    assert shared[0] == 7


def test_a_handle_is_good_as_long_as_the_buffer(node: int) -> None:
    with nump.SharedNodeBuffer(SIZE, node) as shared:
        handle = shared.handle
        with nump.SharedNodeBuffer.attach(handle) as again:
            again[3] = 9
            assert shared[3] == 9
            assert again.handle != handle
            second = again.handle
            shared.close()
            with nump.SharedNodeBuffer.attach(second) as third:  # one holder is enough
                assert third[3] == 9
    with pytest.raises((FileNotFoundError, ValueError)):  # the number may be another file's by now
        nump.SharedNodeBuffer.attach(handle)


def test_a_handle_names_every_node_of_a_set(node: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Machine:
        _known_ids = frozenset(range(300))

    monkeypatch.setattr(shared_module, "current_topology", Machine)
    with nump.SharedNodeBuffer(SIZE, nump.NodeSet([node]), strict=True) as shared:
        assert (shared.requested_node, shared.requested_nodes) == (node, (node,))
        shared._asked_for([node, 299, 7])  # as on a machine that has these
        with nump.SharedNodeBuffer.attach(shared.handle) as again:
            assert again.requested_node == node
            assert again.requested_nodes == tuple(sorted({node, 7, 299}))
            assert {again.step, shared.step} == {nump.AllocationStep.PREFERRED}
            assert again.handle.split(":")[4] == shared.handle.split(":")[4]
        shared._asked_for([7, 299])
        assert {shared.step} == {nump.AllocationStep.NEAREST}
        assert shared.migrate(node).complete
        assert shared.requested_nodes == (node,)
        parts = shared.handle.split(":")
        for wrong in ("300", f"{node},300", f"{node},", ",", "0-3", "--"):
            with pytest.raises(ValueError, match=r"node 300|must be that of a Shared"):
                nump.SharedNodeBuffer.attach(replaced(parts, wrong, 4))


def replaced(parts: list[str], part: str, at: int) -> str:
    return ":".join([*parts[:at], part, *parts[at + 1 :]])


def test_a_handle_of_another_file_is_refused(shared: nump.SharedNodeBuffer, tmp_path: Path) -> None:
    before = open_memfds()
    with (tmp_path / "other").open("w+b") as other:
        other.truncate(SIZE)
        parts = shared.handle.split(":")
        parts[2] = str(other.fileno())
        with pytest.raises(ValueError, match="not of the SharedNodeBuffer"):
            nump.SharedNodeBuffer.attach(":".join(parts))
    parts = shared.handle.split(":")
    parts[3] = str(SIZE + 1)
    with pytest.raises(ValueError, match="another size"):
        nump.SharedNodeBuffer.attach(":".join(parts))
    parts = shared.handle.split(":")
    parts[4] = "99999"
    with pytest.raises(ValueError, match="node 99999, which this machine does not have"):
        nump.SharedNodeBuffer.attach(":".join(parts))
    good = shared.handle.split(":")
    wrong = [("other", 0), ("-1", 1), (" 1", 1), ("../..", 1), ("-1", 2), ("1_0", 3), ("-1", 4)]
    wrong += [("2", 5), ("", 5), ("x", 6), (good[6] + "\n", 6), ("9" * 5000, 3)]
    for odd in ("", "numapool:1", *(replaced(good, *one) for one in wrong)):
        with pytest.raises(ValueError, match="handle must be that of a SharedNodeBuffer, not"):
            nump.SharedNodeBuffer.attach(odd)
    with pytest.raises(TypeError, match="handle must be a str, not None"):
        nump.SharedNodeBuffer.attach(None)  # type: ignore[arg-type]
    assert open_memfds() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_other_users_cannot_attach(shared: nump.SharedNodeBuffer) -> None:
    path = "/proc/{}/fd/{}".format(*shared.handle.split(":")[1:3])
    code = f"""
        import os
        os.setgid(65534); os.setuid(65534)
        try:
            os.open({path!r}, os.O_RDWR)
        except PermissionError:
            print("refused")
    """
    assert run(code).stdout == "refused\n"


def test_wrong_requests(node: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_memfds()
    with pytest.raises(ValueError, match="at least 1"):
        nump.SharedNodeBuffer(0)
    with pytest.raises(nump.NodeNotFoundError):
        nump.SharedNodeBuffer(10, 4000)
    with pytest.raises(MemoryError):
        nump.SharedNodeBuffer(1 << 50, node)
    assert open_memfds() == before
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(nump.UnsupportedError, match="memfd_create"):
        nump.SharedNodeBuffer(10)
    with pytest.raises(nump.UnsupportedError, match="memfd_create"):
        nump.SharedNodeBuffer.attach("numapool:1:2:3:-:1:x")
