"""Memory pressure: the monitor, what it decides by, and whom it tells."""
