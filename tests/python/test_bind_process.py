"""bind_process: every thread there is, and those to come; what cannot be done is said."""

from __future__ import annotations

import errno

from support import child

SETUP = """
import os, pathlib, tempfile, threading, warnings
import numapool as nump
from support.affinity import cpus_of_threads, own_cpus, split_machine
everywhere = own_cpus()
topology = split_machine(pathlib.Path(tempfile.mkdtemp()))
first, rest = (frozenset(topology.node(n).cpu_cores) for n in (0, 1))
stop = threading.Event()
threads = [threading.Thread(target=stop.wait, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()

def homes():
    seen = [nump._core.home_node()]
    thread = threading.Thread(target=lambda: seen.append(nump._core.home_node()))
    thread.start()
    thread.join()
    return seen

def end():
    stop.set()
    for thread in threads:
        thread.join()
"""


def check(body: str) -> str:
    return child.check(SETUP + body + "\nend()\n")


def test_every_thread_is_bound_and_new_ones_follow() -> None:
    check("""
others = len(cpus_of_threads()) - 1
bound = nump.bind_process(0, topology=topology)
assert set(cpus_of_threads().values()) == {first}, cpus_of_threads()
assert set(bound.thread_ids) == set(cpus_of_threads())
assert (bound.requested_node, bound.node_id, bound.cpus) == (0, 0, tuple(sorted(first)))
seen = []
thread = threading.Thread(target=lambda: seen.append(own_cpus()))
thread.start()
thread.join()
assert seen == [first]
assert any(f"memory policy of {others} other threads" in one for one in bound.not_done), bound
""")


def test_it_binds_anew_and_blocks_may_still_go_elsewhere() -> None:
    check("""
nump.bind_process(0, topology=topology)
assert own_cpus() == first
with nump.run_on(1, topology=topology):
    assert own_cpus() == rest
assert own_cpus() == first
nump.bind_process(1, topology=topology)
assert set(cpus_of_threads().values()) == {rest}
seen = []
def elsewhere():
    with nump.run_on(0, topology=topology):
        seen.append(own_cpus())
thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
assert seen == [first]
""")


def test_threads_that_start_meanwhile_are_caught() -> None:
    check("""
going = True
def spawn():
    while going:
        one = threading.Thread(target=lambda: None)
        one.start()
        one.join()
spawners = [threading.Thread(target=spawn, daemon=True) for _ in range(2)]
for one in spawners:
    one.start()
try:
    for node, cpus in [(0, first), (1, rest)] * 20:
        bound = nump.bind_process(node, topology=topology)
        assert not [one for one in bound.not_done if "CPUs of" in one], bound
        assert set(cpus_of_threads().values()) == {cpus}
finally:
    going = False
    stop.set()
for one in spawners:
    one.join()
""")


def test_memory_is_preferred_from_the_node_by_this_thread_and_its_children() -> None:
    child.check("""
import ctypes, threading
import numapool as nump
from support.policy import kernel_policy
node = nump.NumaTopology.detect().nodes[0].node_id
bound = nump.bind_process(node)
assert bound.memory_node == node
assert kernel_policy() == (1, 1 << node)
seen = []
thread = threading.Thread(target=lambda: seen.append(kernel_policy()))
thread.start()
thread.join()
assert seen == [(1, 1 << node)]
assert bound.not_done == ()
""")


def test_memory_without_cpus_is_every_threads_default() -> None:
    check("""
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    bound = nump.bind_process(2, topology=topology)
assert ["node 2 has no CPUs" in str(one.message) for one in caught] == [True]
assert (bound.requested_node, bound.node_id) == (2, 1)
assert set(cpus_of_threads().values()) == {rest}
assert homes() == [2, 2]
nump.bind_process(0, topology=topology)
assert homes() == [0, 0]
""")


def test_nodes_that_share_cpus() -> None:
    """The CPU does not tell the node, so every thread's allocations are told it."""
    check("""
from support.affinity import shared_cpus
both = shared_cpus(pathlib.Path(tempfile.mkdtemp()))
for node in (1, 0):
    assert nump.bind_process(node, topology=both).node_id == node
    assert homes() == [node, node]
    with nump.run_on(1 - node, topology=both):
        assert homes() == [1 - node, node]
        nump.bind_process(node, topology=both)
        assert homes() == [node, node]
    assert homes() == [node, node]
""")


def test_a_refused_policy_is_said_and_the_rest_is_done() -> None:
    check(f"""
from support import seccomp
seccomp.refuse(["set_mempolicy"], {errno.EPERM})
bound = nump.bind_process(0, topology=topology)
assert bound.memory_node is None
assert any("set_mempolicy" in one for one in bound.not_done), bound
assert set(cpus_of_threads().values()) == {{first}}
""")


def test_a_warning_that_is_an_error_changes_nothing() -> None:
    check("""
warnings.simplefilter("error")
try:
    nump.bind_process(2, topology=topology)
except nump.PlacementWarning:
    assert set(cpus_of_threads().values()) == {everywhere}
else:
    raise AssertionError
""")


CHILDREN = """
import json, multiprocessing, subprocess, sys
from numapool.threads.inherited_binding import VARIABLE
from support.affinity import bound_elsewhere
folder = tempfile.mkdtemp()
topology = split_machine(pathlib.Path(folder))
PROGRAM = (
    "import sys, json; from support.affinity import bound_elsewhere;"
    "json.dump(bound_elsewhere(sys.argv[1]), sys.stdout)"
)

def program(*command, **env):
    command = [*command, sys.executable, "-W", "ignore", "-c", PROGRAM, folder]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, **env})
    return frozenset(json.loads(done.stdout))
"""


def test_programs_that_a_bound_process_starts_may_bind_elsewhere() -> None:
    check(
        CHILDREN
        + """
bound = nump.bind_process(1, topology=topology)
assert not [one for one in bound.not_done if "child" in one], bound
assert own_cpus() == rest
for method in ("fork", "forkserver", "spawn"):
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert frozenset(pool.apply(bound_elsewhere, (folder,))) == first, method
assert program() == first
assert program("/bin/sh", "-c", '"$@"; exit 0', "sh") == first  # a grandchild
"""
    )


def test_limits_from_outside_hold_in_programs_that_a_bound_process_starts() -> None:
    check(
        CHILDREN
        + """
from support.affinity import shared_cpus
whole = shared_cpus(pathlib.Path(tempfile.mkdtemp()))
nump.bind_process(1, topology=topology)
said = os.environ[VARIABLE]
process, start, cpus, base = said.split(":")
assert int(process) == os.getpid()
for other in (
    f"{process}:{int(start) + 1}:{cpus}:{base}",  # a process that had its id before
    f"{2**22 + 1}:{start}:{cpus}:{base}",  # no parent
    f"{process}:{start}:{base}:{base}",  # other CPUs than it has: someone narrowed them further
    f"{process}:{start}:{cpus}",
    "nonsense",
    "",
):
    assert program(**{VARIABLE: other}) == rest, other
nump.bind_process(0, topology=topology)
assert os.environ[VARIABLE] not in ("", said)
nump.bind_process(0, topology=whole)
assert own_cpus() == everywhere
assert VARIABLE not in os.environ
"""
    )


def test_several_nodes_are_all_their_cpus() -> None:
    check("""
bound = nump.bind_process([0, 1], topology=topology)
assert set(cpus_of_threads().values()) == {first | rest}
assert (bound.requested_node, bound.node_id) == (0, 0)
assert bound.cpus == tuple(sorted(first | rest))
assert set(homes()) == {-2}
nump.bind_process(1, topology=topology)
assert set(cpus_of_threads().values()) == {rest}
assert homes() == [1, 1]
""")
