"""For your tests: pressure that is rehearsed, and machines of any number of nodes."""

from numapool.testing.machines import fake_topology
from numapool.testing.rehearsal import Rehearsal, pressure

__all__ = ["Rehearsal", "fake_topology", "pressure"]
