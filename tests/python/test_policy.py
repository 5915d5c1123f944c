"""memory_policy: set inside, restored after, per thread."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import numpy as np
import pytest
from support import sysfs_tree
from support.policy import kernel_policy

import numapool as nump
from numapool import _core


@pytest.mark.parametrize(("mode", "number"), [("preferred", 1), ("interleave", 3), ("local", 4)])
def test_the_kernel_has_the_policy_inside_and_the_former_one_after(
    node: int, mode: str, number: int
) -> None:
    before = kernel_policy()
    with nump.memory_policy(None if mode == "local" else node, mode=mode):  # type: ignore[arg-type]
        assert kernel_policy() == (number, 0 if mode == "local" else 1 << node)
        np.ones(1 << 20)
    assert kernel_policy() == before


def test_a_node_outside_the_cpuset_is_named_with_a_remedy(
    node: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Confined:
        nodes = nump.NumaTopology.detect().nodes

        def nearest(self, node_id: int) -> list[int]:
            return [node + 1]

    def refuse(mode: str, nodes: list[int]) -> None:
        raise OSError(errno.EINVAL, "set_mempolicy(mode 1): Invalid argument")

    policy = nump.memory_policy(node)
    monkeypatch.setattr("numapool.memory.memory_policy._core.set_thread_policy", refuse)
    with pytest.raises(OSError, match="set_mempolicy") as bare, policy:
        pass  # the node is usable: the kernel's own words are all there is
    monkeypatch.setattr("numapool.memory.memory_policy.current_topology", Confined)
    with pytest.raises(OSError, match="cpuset") as told, policy:
        pass
    assert bare.value.errno == told.value.errno == errno.EINVAL
    assert f"node {node}:" in str(told.value) and f"Name node {node + 1}" in str(told.value)


def test_several_nodes_are_preferred_together(
    node: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree = sysfs_tree.write(tmp_path, sysfs_tree.machine("two_socket"))
    two = nump.NumaTopology.from_sysfs(tree)
    for module in ("machine.node_set", "memory.memory_policy"):
        monkeypatch.setattr(f"numapool.{module}.current_topology", lambda: two)
    policy = nump.memory_policy([0, 1])
    before = kernel_policy()
    with policy:
        mode, mask = kernel_policy()
        assert (mode, mask & 1) == (5, 1)  # of the two, what this machine has
    assert kernel_policy() == before
    set_policy = _core.set_thread_policy

    def before_5_15(mode: _core.ThreadMode, nodes: list[int]) -> _core.SavedPolicy:
        if mode is _core.ThreadMode.PREFERRED_MANY:
            raise OSError(errno.EINVAL, "set_mempolicy(mode 5): Invalid argument")
        return set_policy(mode, nodes)

    monkeypatch.setattr("numapool.memory.memory_policy._core.set_thread_policy", before_5_15)
    with nump.run_on(node), policy:
        assert kernel_policy() == (1, 1 << node)
    assert kernel_policy() == before


def test_blocks_nest_and_survive_exceptions(node: int) -> None:
    before = kernel_policy()
    with nump.memory_policy([node], mode="interleave"):
        with pytest.raises(KeyError), nump.memory_policy(node):
            assert kernel_policy()[0] == 1
            raise KeyError
        assert kernel_policy()[0] == 3
    assert kernel_policy() == before


def test_one_object_may_be_used_again_and_nested(node: int) -> None:
    policy = nump.memory_policy(node)
    with policy, policy:
        assert kernel_policy()[0] == 1
    with policy:
        assert kernel_policy()[0] == 1
    assert kernel_policy()[0] == 0


def test_other_threads_are_not_concerned(node: int) -> None:
    seen: list[int] = []
    started, done = threading.Event(), threading.Event()

    def other() -> None:
        started.wait()
        seen.append(kernel_policy()[0])
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with nump.memory_policy(node):
        started.set()
        done.wait()
    thread.join()
    assert seen == [0]


@pytest.mark.parametrize(
    ("node", "mode", "words"),
    [
        (0, "bind", "mode must be 'preferred', 'interleave' or 'local', not 'bind'"),
        (0, "local", "node must be None for mode='local'"),
        (None, "interleave", "at least one node"),
        ([], "interleave", "at least one node"),
    ],
)
def test_nonsense_is_refused(node: object, mode: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nump.memory_policy(node, mode=mode)  # type: ignore[arg-type]
