"""Boots Debian's arm64 kernels in QEMU, on emulated machines of several nodes, with a wheel."""
