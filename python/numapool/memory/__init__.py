"""Memory on nodes: allocating, seeing where it is, moving and sharing it."""
