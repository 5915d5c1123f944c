"""The peer libhwloc, with the devices it can find."""

from __future__ import annotations

import ctypes

# hwloc.h: HWLOC_TYPE_FILTER_KEEP_ALL and the special depths of what is no CPU and no memory
_KEEP_ALL = 0
_DEPTHS = {"bridges": -4, "functions": -5, "devices": -6}


def open_hwloc() -> ctypes.CDLL:
    """Load libhwloc.

    Raises
    ------
    OSError
        It is not installed.
    """
    library = ctypes.CDLL("libhwloc.so.15")
    library.hwloc_get_nbobjs_by_depth.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def load_with_devices(library: ctypes.CDLL) -> dict[str, int]:
    """Make and load a topology with all devices; how many bridges, functions and devices it has."""
    handle = ctypes.c_void_p()
    assert library.hwloc_topology_init(ctypes.byref(handle)) == 0
    try:
        assert library.hwloc_topology_set_io_types_filter(handle, _KEEP_ALL) == 0
        assert library.hwloc_topology_load(handle) == 0
        return {
            what: library.hwloc_get_nbobjs_by_depth(handle, depth)
            for what, depth in _DEPTHS.items()
        }
    finally:
        library.hwloc_topology_destroy(handle)
