"""What the probes read from files, on machines of a few made-up files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import sysfs_tree

import numapool as nump
from numapool.probes import (
    confinement,
    devices,
    huge_pages,
    kernel_moves,
    limits,
    placement,
    pressure,
)
from numapool.probes.capabilities import Probe
from numapool.probes.cgroups import Cgroup, memory_cgroup, unified_cgroup
from numapool.probes.machine import Machine

Ask = Callable[..., nump.Capability]

TWO_SOCKET = sysfs_tree.machine("two_socket")


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def answer(probe: Probe, files: Mapping[str, str | bytes]) -> nump.Capability:
        sysfs_tree.write(tmp_path, files)
        (only,) = probe(Machine(str(tmp_path)))
        return only

    return answer


# --- placement ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("landed", "available"), [({0: 0, 1: 1}, True), ({0: 0, 1: 0}, False)])
def test_a_policy_that_is_accepted_must_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landed: dict[int, int], available: bool
) -> None:
    sysfs_tree.write(tmp_path, TWO_SOCKET)
    core = SimpleNamespace(try_bind=lambda node, _: landed[node])
    monkeypatch.setattr(placement, "_core", core)
    (one,) = placement.bind(Machine(str(tmp_path)))
    assert one.available is available
    assert ("does nothing" in one.detail) is not available
    assert bool(one.remedy) is not available


def test_nodes_of_movable_memory_are_told(ask: Ask) -> None:
    folder = "sys/devices/system/node"
    files = {
        **TWO_SOCKET,
        f"{folder}/has_memory": "0-1\n",
        f"{folder}/has_normal_memory": "0\n",
    }
    assert "all memory of node 1 is movable" in ask(placement.nodes, files).detail
    files[f"{folder}/has_normal_memory"] = "0-1\n"
    assert "movable" not in ask(placement.nodes, files).detail


def test_a_policy_that_was_inherited_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numapool._core.inherited_bind", lambda: (1,))
    (one,) = confinement.whole_machine(Machine())
    assert one.available is False
    assert "bound to node 1" in one.detail and "numactl --membind" in one.detail
    assert "strict memory policy" in one.remedy


# --- pages too large to be tried ------------------------------------------------------------------

THP = "sys/kernel/mm/transparent_hugepage"


def test_no_probe_populates_a_page_of_many_megabytes(ask: Ask) -> None:
    """The transparent huge page of a kernel with 64 KiB pages: the OOM killer's, in a cgroup."""
    sizes = {f"{THP}/enabled": "always [madvise] never\n", f"{THP}/hpage_pmd_size": "536870912\n"}
    one = ask(huge_pages.transparent, {**TWO_SOCKET, **sizes})
    assert one.available is None
    assert "512 MiB is too large to be tried" in one.detail


def test_no_probe_takes_a_huge_page_that_would_be_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def map_one(size: int) -> None:
        raise AssertionError(size)

    monkeypatch.setattr("numapool._core.try_hugetlb_page", map_one)
    monkeypatch.setattr("numapool._core.available", lambda: SimpleNamespace(size_bytes=1 << 20))
    files: dict[str, str | bytes] = {}
    for kib in (2048, 1 << 20):
        folder = f"sys/kernel/mm/hugepages/hugepages-{kib}kB"
        files |= {f"{folder}/nr_hugepages": "0\n", f"{folder}/nr_overcommit_hugepages": "4\n"}
    sysfs_tree.write(tmp_path, {**TWO_SOCKET, **files})
    for one in huge_pages.hugetlb(Machine(str(tmp_path))):
        assert one.available is None, one
        assert "not tried" in one.detail


# --- balloon and reporting ------------------------------------------------------------------------

BALLOON = "sys/bus/virtio/devices/virtio3"
DRIVER = "../../../../bus/virtio/drivers/virtio_balloon"
OTHER = {"sys/bus/virtio/devices/virtio0/device": "0x0002\n"}
ORDER = {
    "sys/module/page_reporting/parameters/page_reporting_order": "9\n",
    "proc/buddyinfo": f"Node 0, zone   Normal {' 1' * 11}\n",
}


def features(*bits: int) -> str:
    return "".join("1" if bit in bits else "0" for bit in range(64)) + "\n"


def virtio(*bits: int, driver: bool = True) -> dict[str, str]:
    files = {f"{BALLOON}/device": "0x0005\n", f"{BALLOON}/features": features(*bits), **OTHER}
    if not driver:
        return files
    bound = {f"{BALLOON}/driver -> {DRIVER}": "", "sys/bus/virtio/drivers/virtio_balloon/bind": ""}
    return {**files, **bound}


def test_a_virtio_balloon_and_what_it_offers(ask: Ask) -> None:
    one = ask(devices.balloon, virtio(1, 2, 5, 32))
    assert one.available
    assert one.detail == "virtio3 (virtio): statistics, deflate on OOM, reporting"


def test_a_balloon_without_a_driver(ask: Ask) -> None:
    one = ask(devices.balloon, virtio(5, driver=False))
    assert one.available is False
    assert "modprobe virtio_balloon" in one.remedy


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("sys/devices/system/xen_memory/xen_memory0/target_kb", "Xen"),
        ("sys/module/vmw_balloon/refcnt", "VMware"),
    ],
)
def test_balloons_of_others(ask: Ask, path: str, name: str) -> None:
    one = ask(devices.balloon, {path: "1\n"})
    assert one.available
    assert name in one.detail


VMBUS = "sys/bus/vmbus/devices/1eccfd72-4b41-45ef-b73a-4a6e44c12924"
DYNAMIC_MEMORY = {f"{VMBUS}/class_id": "{525074dc-8985-46e2-8057-a307dc18a502}\n"}
HYPERV_DRIVER = {"sys/bus/vmbus/drivers/hv_balloon/bind": "1\n"}
HYPERV_BOUND = {f"{VMBUS}/driver -> ../../drivers/hv_balloon": ""}


@pytest.mark.parametrize(
    ("files", "there", "at_work"),
    [
        ({**DYNAMIC_MEMORY, **HYPERV_DRIVER, **HYPERV_BOUND}, True, True),
        (DYNAMIC_MEMORY, True, False),
        (HYPERV_DRIVER, False, False),  # loaded on any guest of Hyper-V: the device is what counts
        ({**HYPERV_DRIVER, **DYNAMIC_MEMORY}, True, False),
    ],
    ids=["bound", "device", "driver", "both apart"],
)
def test_a_balloon_of_hyperv_as_the_balloon_driver_finds_it(
    ask: Ask, tmp_path: Path, files: dict[str, str], there: bool, at_work: bool
) -> None:
    one = ask(devices.balloon, files)
    assert one.available is at_work
    assert ("(Hyper-V)" in one.detail) is there
    assert ("modprobe hv_balloon" in one.remedy) is (there and not at_work)
    driver = nump.BalloonDriver(root=tmp_path)
    assert driver.available is at_work
    assert driver.driver == ("hyperv" if there else None)


def test_memory_that_the_host_plugs_takes_no_balloon(ask: Ask) -> None:
    flags = {"proc/cpuinfo": "processor\t: 0\nflags\t: fpu hypervisor\n"}
    one = ask(
        devices.balloon, {**OTHER, **flags, "sys/bus/virtio/devices/virtio2/device": "0x0018\n"}
    )
    assert one.available is False
    assert "virtio-mem (virtio2)" in one.detail
    assert one.remedy == ""


@pytest.mark.parametrize("guest", [False, True])
def test_no_balloon(ask: Ask, guest: bool) -> None:
    flags = "processor\t: 0\nflags\t: fpu vme" + (" hypervisor" if guest else "") + "\n"
    one = ask(devices.balloon, {**OTHER, "proc/cpuinfo": flags})
    assert one.available is False
    assert ("virtio-balloon-pci" in one.remedy) is guest


def test_reporting_is_the_hosts_choice(ask: Ask) -> None:
    one = ask(devices.free_page_reporting, {**virtio(1, 5), **ORDER})
    assert one.available
    assert "at least 2 MiB" in one.detail


def test_no_reporting(ask: Ask) -> None:
    one = ask(devices.free_page_reporting, {**virtio(1, 2), **ORDER})
    assert one.available is False
    assert "free-page-reporting=on" in one.remedy


def test_reporting_without_a_driver_reports_nothing(ask: Ask) -> None:
    assert ask(devices.free_page_reporting, virtio(5, driver=False)).available is False


# --- devices, tiers, balancing --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "available", "words", "remedy"),
    [
        ([0, 1, 1, -1], True, "3 of 4 PCI devices tell their node (node 0: 1, node 1: 2)", False),
        ([-1, -1], False, "none of 2 PCI devices", True),
        ([], False, "no PCI devices", False),
    ],
)
def test_devices_that_tell_their_node(
    ask: Ask, nodes: list[int], available: bool, words: str, remedy: bool
) -> None:
    files = {
        f"sys/bus/pci/devices/0000:00:{slot:02x}.0/numa_node": f"{node}\n"
        for slot, node in enumerate(nodes)
    }
    one = ask(devices.locality, {**TWO_SOCKET, **files})
    assert (one.available, bool(one.remedy)) == (available, remedy)
    assert words in one.detail


@pytest.mark.parametrize(
    ("demotion", "words"), [("true", "cold pages are demoted"), ("false", "nothing is demoted")]
)
def test_tiers(ask: Ask, demotion: str, words: str) -> None:
    folder = "sys/devices/virtual/memory_tiering"
    one = ask(
        kernel_moves.memory_tiers,
        {
            **TWO_SOCKET,
            f"{folder}/memory_tier4/nodelist": "0\n",
            f"{folder}/memory_tier22/nodelist": "1\n",
            f"{folder}/power/control": "auto\n",
            "sys/kernel/mm/numa/demotion_enabled": f"{demotion}\n",
        },
    )
    assert one.available
    assert one.detail.startswith("tier 4: node 0; tier 22: node 1; ")
    assert words in one.detail


def test_one_tier_and_none(ask: Ask) -> None:
    assert "Linux 6.1" in ask(kernel_moves.memory_tiers, TWO_SOCKET).remedy
    one = {**TWO_SOCKET, "sys/devices/virtual/memory_tiering/memory_tier4/nodelist": "0-1\n"}
    assert ask(kernel_moves.memory_tiers, one).available is False


@pytest.mark.parametrize(
    ("text", "available", "words"),
    [
        ("0", False, "off"),
        ("1", True, "to its users;"),
        ("2", True, "to faster tiers;"),
        ("3", True, "to its users and to faster tiers;"),
        (None, False, "not in this kernel"),
    ],
)
def test_automatic_balancing(ask: Ask, text: str | None, available: bool, words: str) -> None:
    files = {} if text is None else {"proc/sys/kernel/numa_balancing": f"{text}\n"}
    one = ask(kernel_moves.automatic_balancing, files)
    assert one.available is available
    assert words in one.detail


# --- huge pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "words", "remedy"),
    [
        ({}, "not shown here", "show /sys in the container"),
        ({"enabled": "always madvise [never]\n"}, "switched off", "echo madvise"),
        (
            {
                "enabled": "[always] madvise never\n",
                "hugepages-2048kB/enabled": "always inherit madvise [never]\n",
            },
            "hugepages-2048kB/enabled is never",
            "echo inherit",
        ),
        (
            {
                "enabled": "always madvise [never]\n",
                "hugepages-2048kB/enabled": "always [inherit] madvise never\n",
            },
            "transparent_hugepage/enabled is never",
            "echo madvise",
        ),
        ({"enabled": "[always] madvise never\n", "status": "0"}, "PR_SET_THP_DISABLE", "parent"),
    ],
)
def test_transparent_huge_pages_that_are_off(
    ask: Ask, files: dict[str, str], words: str, remedy: str
) -> None:
    status = {"proc/self/status": f"Name:\tx\nTHP_enabled:\t{files.pop('status', '1')}\n"}
    size = {f"{THP}/hpage_pmd_size": "2097152\n"} if files else {}
    tree = {f"{THP}/{name}": text for name, text in files.items()} | status | size
    one = ask(huge_pages.transparent, tree)
    assert one.available is False
    assert words in one.detail
    assert remedy in one.remedy


def test_a_size_of_transparent_huge_pages_that_is_on_alone(ask: Ask) -> None:
    one = ask(
        huge_pages.transparent,
        {
            f"{THP}/enabled": "always madvise [never]\n",
            f"{THP}/hpage_pmd_size": "2097152\n",
            f"{THP}/hugepages-2048kB/enabled": "always inherit [madvise] never\n",
        },
    )
    assert "switched off" not in one.detail


def test_the_best_of_several_sizes_of_transparent_huge_pages(ask: Ask) -> None:
    """A kernel with 64 KiB pages: 2 MiB instead of the 512 MiB of a whole entry."""
    tree = {
        f"{THP}/enabled": "always [madvise] never\n",
        f"{THP}/hpage_pmd_size": f"{512 << 20}\n",
        f"{THP}/hugepages-128kB/enabled": "always inherit madvise [never]\n",
        f"{THP}/hugepages-2048kB/enabled": "[always] inherit madvise never\n",
        f"{THP}/hugepages-524288kB/enabled": "always [inherit] madvise never\n",
        f"{THP}/hugepages-64kB/shmem_enabled": "always inherit within_size advise [never]\n",
    }
    one = ask(huge_pages.transparent, tree)
    assert one.detail.startswith("enabled: always; also 512 MiB: madvise; ")
    # In the tree nothing counts the pages that were made.
    words = "came as one page" if "came as" in one.detail else "does not tell"
    assert words in one.detail and "too large" not in one.detail


def test_sizes_of_transparent_huge_pages_are_counted_where_they_are_made(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = f"{THP}/hugepages-64kB/stats/anon_fault_alloc"
    tree = {
        f"{THP}/enabled": "always madvise [never]\n",
        f"{THP}/hpage_pmd_size": f"{2 << 20}\n",
        f"{THP}/hugepages-64kB/enabled": "always inherit [madvise] never\n",
        counter: "7\n",
    }

    def make(size: int) -> int:
        assert size == 64 << 10
        (tmp_path / counter).write_text("8\n")
        return 4096

    monkeypatch.setattr("numapool._core.try_transparent_page", make)
    one = ask(huge_pages.transparent, tree)
    assert (one.available, one.detail) == (
        True,
        "enabled: madvise; a scratch mapping of 64 KiB came as one page",
    )
    monkeypatch.setattr("numapool._core.try_transparent_page", lambda _: 4096)
    assert "in pages of 4 KiB" in ask(huge_pages.transparent, tree).detail


@pytest.mark.parametrize("probe", [huge_pages.transparent, huge_pages.hugetlb])
def test_a_kernel_without_huge_pages_is_no_container(ask: Ask, probe: Probe) -> None:
    one = ask(probe, {"sys/kernel/mm/ksm/run": "0\n"})
    assert one.available is False
    assert one.detail.startswith("not in this kernel: no /sys/kernel/mm/")


def test_hugetlb_pages_by_size_and_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped: list[int] = []
    monkeypatch.setattr("numapool._core.try_hugetlb_page", mapped.append)
    whole, of_node = "sys/kernel/mm/hugepages", "sys/devices/system/node/node{}/hugepages"
    files: dict[str, str | bytes] = dict(TWO_SOCKET)
    for folder, name, total, free in [
        (whole, "hugepages-2048kB", 12, 3),
        (of_node.format(0), "hugepages-2048kB", 8, 0),
        (of_node.format(1), "hugepages-2048kB", 4, 3),
        (whole, "hugepages-1048576kB", 0, 0),
    ]:
        files[f"{folder}/{name}/nr_hugepages"] = f"{total}\n"
        files[f"{folder}/{name}/free_hugepages"] = f"{free}\n"
    small, large = huge_pages.hugetlb(Machine(str(sysfs_tree.write(tmp_path, files))))
    assert small.name == "hugetlb pages of 2 MiB"
    assert small.available
    assert small.detail == "node 0: 0 of 8 free, node 1: 3 of 4 free; one was mapped"
    assert large.name == "hugetlb pages of 1 GiB"
    assert (large.available, large.detail) == (False, "none reserved")
    assert "hugepages-1048576kB/nr_hugepages" in large.remedy
    assert mapped == [2 << 20]


def test_reserved_hugetlb_pages_that_are_all_in_use(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(size: int) -> int:
        raise MemoryError

    monkeypatch.setattr("numapool._core.try_hugetlb_page", refuse)
    folder = "sys/kernel/mm/hugepages/hugepages-2048kB"
    files = {f"{folder}/nr_hugepages": "4\n", f"{folder}/free_hugepages": "0\n", **TWO_SOCKET}
    one = ask(huge_pages.hugetlb, files)
    assert one.available is False
    assert "0 of 4 free; none could be mapped" in one.detail


# --- cgroups and pressure -------------------------------------------------------------------------

TOP = "/sys/fs/cgroup"
V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "41 30 0:33 {root} /sys/fs/cgroup/memory rw shared:17 - cgroup cgroup rw,memory\n"
PIDS = "42 30 0:34 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
GROUP = "sys/fs/cgroup/system.slice/app.service"


def own(cgroup: str, mounts: str) -> dict[str, str]:
    return {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts}


@pytest.mark.parametrize(
    ("cgroup", "mounts", "expected"),
    [
        ("0::/a/b\n", V2.format(root="/"), Cgroup(2, f"{TOP}/a/b", TOP)),
        ("0::/\n", V2.format(root="/"), Cgroup(2, TOP, TOP)),
        ("0::/a/b\n", V2.format(root="/a"), Cgroup(2, f"{TOP}/b", TOP)),
        ("0::/a\n", V2.format(root="/a"), Cgroup(2, TOP, TOP)),
        ("0::/ab\n", V2.format(root="/a"), None),
        ("0::/a\n", PIDS, None),
        ("", V2.format(root="/"), None),
        ("1:name=x:/a\n0::/b\n", V2.format(root="/"), Cgroup(2, f"{TOP}/b", TOP)),
    ],
)
def test_the_own_cgroup(tmp_path: Path, cgroup: str, mounts: str, expected: Cgroup | None) -> None:
    sysfs_tree.write(tmp_path, own(cgroup, mounts))
    assert unified_cgroup(Machine(str(tmp_path))) == expected


def test_a_mount_point_with_a_blank(tmp_path: Path) -> None:
    mounts = V2.format(root="/").replace("/sys/fs/cgroup", "/mnt/a\\040b")
    sysfs_tree.write(tmp_path, own("0::/c\n", mounts))
    assert unified_cgroup(Machine(str(tmp_path))) == Cgroup(2, "/mnt/a b/c", "/mnt/a b")


def test_a_hybrid_system_has_its_memory_in_version_1(tmp_path: Path) -> None:
    text = "4:pids,memory:/docker/x\n0::/docker/x\n"
    tree = own(text, V2.format(root="/") + PIDS + V1.format(root="/"))
    sysfs_tree.write(tmp_path, {**tree, "sys/fs/cgroup/cgroup.controllers": "hugetlb\n"})
    top = "/sys/fs/cgroup/memory"
    assert memory_cgroup(Machine(str(tmp_path))) == Cgroup(1, f"{top}/docker/x", top)


def test_limits_of_the_cgroup_and_above(ask: Ask) -> None:
    one = ask(
        pressure.cgroup_limits,
        {
            **own("0::/system.slice/app.service\n", V2.format(root="/")),
            "sys/fs/cgroup/cgroup.controllers": "cpuset memory\n",
            f"{GROUP}/memory.max": "max\n",
            f"{GROUP}/memory.high": f"{96 << 20}\n",
            f"{GROUP}/memory.current": f"{5 << 20}\n",
            f"{GROUP}/memory.events": "low 0\n",
            "sys/fs/cgroup/system.slice/memory.max": f"{1 << 30}\n",
        },
    )
    assert one.available
    assert one.detail == (
        "version 2, /sys/fs/cgroup/system.slice/app.service; memory.max 1 GiB (of "
        "/sys/fs/cgroup/system.slice); memory.high 96 MiB; 5 MiB in use; memory.events is there"
    )


def test_no_limit_of_version_1(ask: Ask) -> None:
    folder = "sys/fs/cgroup/memory/x"
    one = ask(
        pressure.cgroup_limits,
        {
            **own("4:memory:/x\n", V1.format(root="/")),
            f"{folder}/memory.limit_in_bytes": f"{2**63 - 4096}\n",
            f"{folder}/memory.usage_in_bytes": "4096\n",
        },
    )
    assert one.detail == "version 1, /sys/fs/cgroup/memory/x; no limit; 4 KiB in use"


def test_no_cgroup_is_told_from_one_that_is_not_shown(ask: Ask) -> None:
    for files in ({}, own("0::/x\n", PIDS), own("4:memory:/x\n", V2.format(root="/"))):
        one = ask(pressure.cgroup_limits, files)
        assert one.available is None
        assert "not known" in one.detail and one.remedy
    none = own("0::/\n", V2.format(root="/"))
    assert ask(pressure.cgroup_limits, none).available is False


def test_a_limit_above_a_cgroup_without_a_memory_controller(ask: Ask) -> None:
    one = ask(
        pressure.cgroup_limits,
        {
            **own("0::/a/b\n", V2.format(root="/")),
            "sys/fs/cgroup/cgroup.controllers": "memory\n",
            "sys/fs/cgroup/a/memory.max": f"{1 << 28}\n",
            "sys/fs/cgroup/a/b/cgroup.controllers": "\n",
        },
    )
    assert "memory.max 256 MiB (of /sys/fs/cgroup/a)" in one.detail


STALL = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def test_stall_information_of_the_own_cgroup_comes_first(ask: Ask) -> None:
    one = ask(
        pressure.stall_information,
        {
            **own("0::/system.slice/app.service\n", V2.format(root="/")),
            f"{GROUP}/memory.pressure": STALL,
            "proc/pressure/memory": STALL,
        },
    )
    assert one.available
    assert one.detail.startswith(f"/{GROUP}/memory.pressure answers; /proc/pressure/memory ")


def test_stall_information_of_the_machine_alone_counts_others_too(ask: Ask) -> None:
    one = ask(pressure.stall_information, {"proc/pressure/memory": STALL})
    assert one.available
    assert "other processes' stalls" in one.detail


def test_no_stall_information(ask: Ask) -> None:
    one = ask(pressure.stall_information, {})
    assert one.available is False
    assert "CONFIG_PSI" in one.remedy
    assert ask(pressure.trigger, {}).available is False


def refusing(monkeypatch: pytest.MonkeyPatch, windows: dict[bytes, int]) -> list[int]:
    """Have the kernel refuse triggers by their window; return the files that stay open."""
    open_files: list[int] = []
    real_open, real_close = os.open, os.close

    def write(file: int, text: bytes) -> int:
        window = text.split()[2].rstrip(b"\0")
        if window in windows:
            raise OSError(windows[window], os.strerror(windows[window]))
        return len(text)

    def opened(*arguments: object, **options: object) -> int:
        open_files.append(real_open(*arguments, **options))  # type: ignore[arg-type]
        return open_files[-1]

    def closed(file: int) -> None:
        open_files.remove(file)
        real_close(file)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "close", closed)
    return open_files


@pytest.mark.parametrize(
    ("windows", "available", "words"),
    [
        ({}, True, "window of 1 s"),
        ({b"1000000": 22}, False, "windows of 2 s"),
        ({b"1000000": 22, b"2000000": 95}, False, "not supported; numapool polls it"),
    ],
)
def test_triggers_are_tried_and_closed(
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    windows: dict[bytes, int],
    available: bool,
    words: str,
) -> None:
    open_files = refusing(monkeypatch, windows)
    one = ask(pressure.trigger, {"proc/pressure/memory": STALL})
    assert one.available is available
    assert words in one.detail
    assert bool(one.remedy) is not available
    assert open_files == []


# --- confinement ----------------------------------------------------------------------------------


def status(seccomp: int, effective: int) -> dict[str, str]:
    return {"proc/self/status": f"Seccomp:\t{seccomp}\nCapEff:\t{effective:016x}\n"}


@pytest.mark.parametrize(
    ("seccomp", "effective", "available", "words", "remedy"),
    [
        (0, 1 << 14 | 1 << 23 | 1 << 24, True, "no seccomp filter; with CAP_SYS_NICE", ""),
        (0, 0, True, "without CAP_SYS_NICE, CAP_SYS_RESOURCE, CAP_IPC_LOCK", ""),
        (2, 0, False, "a seccomp filter is on; without CAP_SYS_NICE", "--cap-add SYS_NICE"),
        (2, 1 << 23, False, "with CAP_SYS_NICE; without", ""),
    ],
)
def test_filters_and_privileges(
    ask: Ask, seccomp: int, effective: int, available: bool, words: str, remedy: str
) -> None:
    one = ask(confinement.system_calls, status(seccomp, effective))
    assert one.available is available
    assert words in one.detail
    assert (remedy in one.remedy) if remedy else not one.remedy


def test_a_kernel_that_does_not_tell(ask: Ask) -> None:
    assert ask(confinement.system_calls, {}).available is None


def test_a_cpuset_that_leaves_out_a_node(ask: Ask) -> None:
    one = ask(
        confinement.whole_machine, {**TWO_SOCKET, "proc/self/status": "Mems_allowed_list:\t0\n"}
    )
    assert one.available is False
    assert "the memory of node 1 may not be used" in one.detail
    assert "--cpuset-mems" in one.remedy


def test_all_of_a_machine(ask: Ask) -> None:
    assert ask(confinement.whole_machine, TWO_SOCKET).available


# --- memory limits --------------------------------------------------------------------------------


def test_memory_limits_that_are_not_known_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = [
        SimpleNamespace(limit="the machine", size_bytes=3 << 30),
        SimpleNamespace(limit="the cgroup /x", size_bytes=1 << 30),
    ]
    monkeypatch.setattr("numapool._core.memory_bounds", lambda: list(bounds))
    (one,) = limits.memory_limits(Machine())
    assert (one.available, one.remedy) == (True, "")
    assert one.detail == "the cgroup /x: 1 GiB left; the machine: 3 GiB left"
    why = "has_memory: No such file"
    bounds.append(SimpleNamespace(limit="the cpuset", size_bytes=None, unknown=why))
    (one,) = limits.memory_limits(Machine())
    assert one.available is None
    assert one.detail.endswith("not known: the cpuset (has_memory: No such file)")
    assert one.remedy
