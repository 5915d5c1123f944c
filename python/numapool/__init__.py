"""Memory that lives where you say: buffers placed on NUMA nodes."""

from numapool._core import __version__ as __version__
