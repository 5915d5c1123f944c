"""A stand-in for the CUDA driver's library: a shared library that a test builds and scripts."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

#: Of one device. A call that is scripted to fail answers so once.
_SOURCE = r"""
#include <stddef.h>
#include <string.h>

enum { MOST = 256, NO_DEVICE = 101, NOT_REGISTERED = 713 };
static const void* addresses[MOST];
static size_t sizes[MOST];
static void* stack[MOST];
static int depth, retained, started;
static const char* failing = "";
static int answer;
char pci[32] = "ffff:1f:00.0";

static int failed(const char* name) {
  if (strcmp(failing, name) != 0) return 0;
  failing = "";
  return answer;
}
void script(const char* name, int code) { failing = name, answer = code; }
size_t registered_bytes(void) {
  size_t sum = 0;
  for (int i = 0; i < MOST; ++i) sum += addresses[i] ? sizes[i] : 0;
  return sum;
}
int contexts(void) { return retained; }
int context_depth(void) { return depth; }

int cuInit(unsigned flags) { return started = 1, flags ? 1 : failed("cuInit"); }
int cuGetErrorString(int code, const char** text) {
  *text = code == 2 ? "out of memory" : code == NO_DEVICE ? "invalid device ordinal" : NULL;
  return *text ? 0 : 1;
}
int cuDeviceGet(int* device, int ordinal) {
  if (!started || ordinal) return NO_DEVICE;
  return *device = 40, 0;
}
int cuDeviceGetPCIBusId(char* text, int size, int device) {
  if (device != 40 || failed("cuDeviceGetPCIBusId")) return 1;
  strncpy(text, pci, (size_t)size);
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
  if (device != 40) return NO_DEVICE;
  return ++retained, *context = &retained, failed("cuDevicePrimaryCtxRetain");
}
int cuDevicePrimaryCtxRelease_v2(int device) { return device == 40 ? --retained, 0 : NO_DEVICE; }
int cuCtxPushCurrent_v2(void* context) { return stack[depth++] = context, 0; }
int cuCtxPopCurrent_v2(void** context) { return *context = stack[--depth], 0; }
int cuMemHostRegister_v2(void* address, size_t size, unsigned flags) {
  if (!depth || stack[depth - 1] != &retained || flags != 1) return 1;
  if ((size_t)address % 4096 || size % 4096) return 1;
  int code = failed("cuMemHostRegister_v2");
  for (int i = 0; !code && i < MOST; ++i)
    if (!addresses[i]) return addresses[i] = address, sizes[i] = size, 0;
  return code;
}
int cuMemHostUnregister(void* address) {
  for (int i = 0; i < MOST; ++i)
    if (addresses[i] == address) return addresses[i] = NULL, 0;
  return NOT_REGISTERED;
}
"""


class Driver:
    """The library, in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "libcuda.so.1")
        build = ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-xc", "-", "-o"]
        subprocess.run([*build, self.path], input=_SOURCE, text=True, check=True)
        self._library = ctypes.CDLL(self.path)
        self._library.registered_bytes.restype = ctypes.c_size_t
        self._failing: list[bytes] = []

    @property
    def registered_bytes(self) -> int:
        """Bytes that are page-locked."""
        return int(self._library.registered_bytes())

    @property
    def contexts(self) -> int:
        """How often the device's context is held."""
        return int(self._library.contexts())

    @property
    def context_depth(self) -> int:
        """How many contexts are current, one above the other."""
        return int(self._library.context_depth())

    def fail(self, name: str, code: int) -> None:
        """Have the next call of a function fail."""
        self._failing.append(name.encode())  # which the library keeps a pointer to
        self._library.script(self._failing[-1], code)

    def be_at(self, pci_address: str) -> None:
        """Have the device say that it is there."""
        place = (ctypes.c_char * 32).in_dll(self._library, "pci")
        place.value = pci_address.encode()
