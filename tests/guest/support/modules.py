"""Loads kernel modules inside a guest."""

from __future__ import annotations

import os
import subprocess

#: Set by the harness: the folder whose lib/modules belongs to the running kernel.
TREE_VARIABLE = "GUEST_KERNEL_TREE"


def load_module(name: str, *options: str) -> None:
    """Load one module and what it needs."""
    command = ["modprobe", "-d", os.environ[TREE_VARIABLE], name, *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr}"
