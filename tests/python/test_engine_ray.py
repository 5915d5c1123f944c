"""Ray's workers on nodes. Ray itself is not among the test tools: that test runs where it is."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys

import pytest

import numapool as nump
from numapool.engines.ray import node_resources, node_runtime_env

# In a network of its own: Ray listens on many ports, and looks for its address outside.
_PROGRAM = """
import fcntl, os, signal, socket, struct, time
import ray
import numapool as nump
from numapool.engines.ray import node_resources, node_runtime_env

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))    # SIOCSIFFLAGS, IFF_UP

@ray.remote(num_cpus=1, max_restarts=1, max_task_retries=-1)
class Actor:
    def look(self):
        return os.getpid(), nump.bound_node(), sorted(os.sched_getaffinity(0))

    def variables(self):
        return os.environ["NUMAPOOL_NODE"], os.environ["OWN"]

node = nump.nodes("cpu").ids[0]
cpus = sorted(os.sched_getaffinity(0) & set(nump.current_topology().node(node).cpu_cores))
ray.init(
    address="local", resources=node_resources(), num_cpus=1, include_dashboard=False,
    object_store_memory=100 << 20, _node_ip_address="127.0.0.1", log_to_driver=False,
)
environment = node_runtime_env(node, env_vars={"OWN": "kept"})
actor = Actor.options(runtime_env=environment, resources={f"node{node}": 1}).remote()
pid, *where = ray.get(actor.look.remote(), timeout=120)
assert where == [node, cpus], where
assert ray.get(actor.variables.remote(), timeout=120) == (str(node), "kept")
os.kill(pid, signal.SIGKILL)
again, *where = ray.get(actor.look.remote(), timeout=120)
assert again != pid and where == [node, cpus], where
ray.shutdown()
print("ray", ray.__version__)
"""


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own takes root")
def test_an_actor_starts_on_its_node_and_does_so_again() -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", _PROGRAM],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd="/",
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout.splitlines()[-1])  # pytest -rP shows the version


def test_what_ray_is_given_starts_an_interpreter_on_the_node() -> None:
    """As Ray does it: a shell runs the text, with the worker's program behind it."""
    node = nump.nodes("cpu").ids[0]
    fields = node_runtime_env(node, env_vars={"OWN": "kept"}, working_dir="/srv")
    assert json.loads(json.dumps(fields)) == fields
    assert fields["working_dir"] == "/srv"
    assert fields["env_vars"] == {"NUMAPOOL_NODE": str(node), "OWN": "kept"}
    code = shlex.quote("import numapool; print(numapool.bound_node())")
    done = subprocess.run(
        ["bash", "-c", f"exec {fields['py_executable']} -c {code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd="/",
    )
    assert (done.stdout, done.stderr) == (f"{node}\n", "")


def test_wrong_arguments() -> None:
    with pytest.raises(nump.NodeNotFoundError, match="there is no node 4096"):
        node_runtime_env(4096)
    with pytest.raises(ValueError, match="fields must not have py_executable"):
        node_runtime_env(nump.nodes("cpu").ids[0], py_executable="python")
    with pytest.raises(TypeError, match="prefix must be a str, not 1"):
        node_resources(1)  # type: ignore[arg-type]


def test_resources_count_the_cpus_of_each_node() -> None:
    usable = os.sched_getaffinity(0)
    assert node_resources("numa") == {
        f"numa{node.node_id}": len(usable & set(node.cpu_cores))
        for node in nump.current_topology().nodes
        if usable & set(node.cpu_cores)
    }
