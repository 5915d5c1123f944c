"""The few functions of the CUDA driver's library that page-lock memory, by ctypes.

No header of CUDA is needed. The library is loaded when it is first asked for.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numapool.base.errors import UnsupportedError

#: What the driver installs; the same name on every Linux.
LIBRARY = "libcuda.so.1"

# cuda.h: for every context, not only the one that is current.
_PORTABLE = 0x01
_PCI_ID_BYTES = 32

# With the versions that the library has had since CUDA 4.1, or before.
_FUNCTIONS: dict[str, tuple[type, ...]] = {
    "cuInit": (ctypes.c_uint,),
    "cuGetErrorString": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
    "cuDeviceGet": (ctypes.POINTER(ctypes.c_int), ctypes.c_int),
    "cuDeviceGetPCIBusId": (ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    "cuDevicePrimaryCtxRetain": (ctypes.POINTER(ctypes.c_void_p), ctypes.c_int),
    "cuDevicePrimaryCtxRelease_v2": (ctypes.c_int,),
    "cuCtxPushCurrent_v2": (ctypes.c_void_p,),
    "cuCtxPopCurrent_v2": (ctypes.POINTER(ctypes.c_void_p),),
    "cuMemHostRegister_v2": (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint),
    "cuMemHostUnregister": (ctypes.c_void_p,),
}


class CudaDevice:
    """A GPU, as the driver sees it, with its primary context: the one that PyTorch uses too.

    Parameters
    ----------
    ordinal : int
        Its number, as ``CUDA_VISIBLE_DEVICES`` has it for this process.

    Raises
    ------
    UnsupportedError
        There is no driver, it cannot start, or it has no such device.
    """

    def __init__(self, ordinal: int) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
            for name, takes in _FUNCTIONS.items():
                function = getattr(self._library, name)
                function.argtypes, function.restype = takes, ctypes.c_int
        except (OSError, AttributeError) as error:
            raise UnsupportedError(
                f"page-locked memory for a GPU needs the CUDA driver, which cannot be loaded: "
                f"{error}. Install NVIDIA's driver, or use a pool without page-locking "
                "(numapool.BufferPool)"
            ) from error
        self._require(self._library.cuInit(0), "cannot start the CUDA driver")
        device = ctypes.c_int()
        answer = self._library.cuDeviceGet(ctypes.byref(device), ordinal)
        self._require(answer, f"cannot use CUDA device {ordinal}")
        self._device = device.value
        context = ctypes.c_void_p()
        answer = self._library.cuDevicePrimaryCtxRetain(ctypes.byref(context), self._device)
        self._require(answer, f"cannot make a context on CUDA device {ordinal}")
        self._context = context
        release = self._library.cuDevicePrimaryCtxRelease_v2
        weakref.finalize(self, _release, release, self._device, os.getpid()).atexit = False

    def pci_address(self) -> str | None:
        """Return the address of the GPU's PCI function, or None where the driver tells none."""
        text = ctypes.create_string_buffer(_PCI_ID_BYTES)
        if self._library.cuDeviceGetPCIBusId(text, _PCI_ID_BYTES, self._device):
            return None
        return text.value.decode("ascii", "replace").lower()

    def register(self, address: int, nbytes: int) -> None:
        """Page-lock memory, for this GPU and all others.

        Raises
        ------
        MemoryError
            The driver refuses it, such as for a lack of memory that may be locked.
        """
        with self._current():
            answer = self._library.cuMemHostRegister_v2(address, nbytes, _PORTABLE)
        if answer:
            raise MemoryError(
                f"cannot page-lock {nbytes} bytes: cuMemHostRegister: {self._text(answer)} "
                f"({answer})"
            )

    def unregister(self, address: int) -> None:
        """Undo :meth:`register`; a driver that has ended already is no error."""
        with self._current():
            self._library.cuMemHostUnregister(address)

    @contextmanager
    def _current(self) -> Iterator[None]:
        pushed = self._library.cuCtxPushCurrent_v2(self._context) == 0
        try:
            yield
        finally:
            if pushed:
                self._library.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    def _require(self, answer: int, what: str) -> None:
        if answer:
            raise UnsupportedError(f"{what}: {self._text(answer)} ({answer})")

    def _text(self, answer: int) -> str:
        text = ctypes.c_char_p()
        if self._library.cuGetErrorString(answer, ctypes.byref(text)) or text.value is None:
            return "unknown error"
        return text.value.decode(errors="replace")


def _release(release: Callable[[int], int], device: int, owner: int) -> None:
    """Give the context up, unless this is a child of the process that has it."""
    if os.getpid() == owner:
        release(device)
