"""Programs and processes on nodes: starting them there, seeing where they are, moving them."""
