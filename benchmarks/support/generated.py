"""A machine made up for one question: many nodes and CPUs, as sysfs shows them."""

from __future__ import annotations

from pathlib import Path


def write_machine(root: Path, *, nodes: int, cpus: int) -> Path:
    """Write ``root/sys`` and ``root/proc`` of a machine with equal nodes, one core per CPU.

    It holds what libhwloc needs to find packages, cores and nodes, and what numapool reads.
    """
    per_node = cpus // nodes
    node_folder = root / "sys/devices/system/node"
    cpu_folder = root / "sys/devices/system/cpu"

    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def mask(ids: range) -> str:
        bits = sum(1 << one for one in ids)
        words = [f"{bits >> shift & 0xFFFFFFFF:08x}" for shift in range(0, cpus, 32)]
        return ",".join(reversed(words))

    for name in ("online", "possible"):
        write(node_folder / name, f"0-{nodes - 1}")
        write(cpu_folder / name, f"0-{cpus - 1}")
    for node in range(nodes):
        own = range(node * per_node, (node + 1) * per_node)
        folder = node_folder / f"node{node}"
        write(folder / "cpumap", mask(own))
        write(folder / "cpulist", f"{own[0]}-{own[-1]}")
        write(
            folder / "meminfo",
            f"Node {node} MemTotal: 263923664 kB\nNode {node} MemFree: 200000000 kB",
        )
        write(folder / "distance", " ".join("10" if n == node else "21" for n in range(nodes)))
        for cpu in own:
            topology = cpu_folder / f"cpu{cpu}" / "topology"
            for name, ids in (
                ("core_cpus", range(cpu, cpu + 1)),
                ("thread_siblings", range(cpu, cpu + 1)),
                ("package_cpus", own),
                ("core_siblings", own),
            ):
                write(topology / name, mask(ids))
            write(topology / "core_id", str(cpu - own[0]))
            write(topology / "physical_package_id", str(node))
    write(root / "proc/meminfo", f"MemTotal: {263923664 * nodes} kB\nMemFree: 1 kB")
    write(root / "proc/self/status", f"Mems_allowed_list:\t0-{nodes - 1}")
    write(root / "proc/cpuinfo", "\n".join(f"processor\t: {cpu}\n" for cpu in range(cpus)))
    return root
