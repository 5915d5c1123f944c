"""Which GPU an index or a UUID names: by PCI address, and by what CUDA_VISIBLE_DEVICES leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import pci, sysfs_tree

from numapool.machine import gpus

PROC = "proc/driver/nvidia/gpus"
UUIDS = ("GPU-8f2e0000-1111", "GPU-8f2e9999-2222", "GPU-01234567-3333", "GPU-????????-????")
ADDRESSES = ("0000:17:00.0", "0000:3d:00.0", "0000:9a:00.0", "0001:01:00.0")


@pytest.fixture
def nvidia(tmp_path: Path) -> str:
    files = {
        f"{PROC}/{address}/information": f"Model: \t\t NVIDIA H100\nGPU UUID: \t {uuid}\nIRQ: 1\n"
        for address, uuid in zip(ADDRESSES, UUIDS, strict=True)
    }
    return str(sysfs_tree.write(tmp_path, files | pci.device("gpu", "card0", 0, 3)))


def found(word: str, root: str, visible: str | None = None) -> str | None:
    environment = {} if visible is None else {gpus.VISIBLE: visible}
    gpu, _ = gpus.find_gpu(word, root, environment)
    return None if gpu is None else gpu.pci_address


@pytest.mark.parametrize(
    ("visible", "listed"),
    [
        (None, (0, 1, 2, 3)),
        ("2,0", (2, 0)),
        (" 3 , 1 ", (3, 1)),
        ("", ()),
        ("-1", ()),
        ("1,-1,0", (1,)),  # an invalid entry ends the list
        ("1,9,0", (1,)),
        ("GPU-01234567-3333,GPU-8f2e9", (2, 1)),  # by a beginning that one UUID has
        ("GPU-8f2e,0", ()),  # two have it
        ("MIG-GPU-8f2e9999-2222/1/0", (1,)),
        ("\u0663", ()),
    ],
)
def test_indices_are_those_of_cuda(
    visible: str | None, listed: tuple[int, ...], nvidia: str
) -> None:
    for index in range(6):
        expected = ADDRESSES[listed[index]] if index < len(listed) else None
        assert found(str(index), nvidia, visible) == expected


def test_a_uuid_names_a_gpu_whatever_is_visible(nvidia: str) -> None:
    assert found("GPU-01234567-3333", nvidia, "") == ADDRESSES[2]
    assert found("gpu-8F2E9", nvidia) == ADDRESSES[1]
    assert found("MIG-GPU-01234567-3333/0/0", nvidia) == ADDRESSES[2]
    for word in ("GPU-8f2e", "GPU-", "GPU-?", "GPU-9", "MIG-01234567", "-1", "x", "0x0", ""):
        assert found(word, nvidia) is None, word


def test_what_is_there_is_said(nvidia: str, tmp_path: Path) -> None:
    assert "gpu:0 to gpu:3" in gpus.find_gpu("4", nvidia, {})[1]
    visible = {gpus.VISIBLE: "1"}
    assert "there is gpu:0 (CUDA_VISIBLE_DEVICES=1)" in gpus.find_gpu("4", nvidia, visible)[1]
    assert (
        "there is no GPU (CUDA_VISIBLE_DEVICES=)"
        in gpus.find_gpu("0", nvidia, {gpus.VISIBLE: ""})[1]
    )
    assert "GPU-01234567-3333" in gpus.find_gpu("GPU-77", nvidia, {})[1]
    unknown = {gpus.VISIBLE: "MIG-77777777"}
    assert "what the driver's files do not tell" in gpus.find_gpu("0", nvidia, unknown)[1]
    (tmp_path / "none").mkdir()
    assert "no GPU is in" in gpus.find_gpu("0", str(tmp_path / "none"), {})[1]


def test_without_its_driver_the_pci_devices_tell(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for slot, (vendor, kind) in enumerate(
        [
            ("0x1a03", "0x030000"),  # the board's management processor
            ("0x1002", "0x120000"),
            ("0x1002", "0x038000"),
            ("0x8086", "0x020000"),
        ]
    ):
        place = f"sys/bus/pci/devices/0000:0{slot}:00.0"
        files |= {f"{place}/vendor": f"{vendor}\n", f"{place}/class": f"{kind}\n"}
    root = str(sysfs_tree.write(tmp_path / "amd", files))
    assert found("0", root) == "0000:01:00.0"
    assert found("1", root) == "0000:02:00.0"
    assert found("2", root) is None
    place = "sys/bus/pci/devices/0000:09:00.0"
    files |= {f"{place}/vendor": "0x10de\n", f"{place}/class": "0x030200\n"}
    root = str(sysfs_tree.write(tmp_path / "both", files))
    assert found("0", root) == "0000:09:00.0"  # CUDA knows NVIDIA's alone
    assert found("1", root) is None
