"""Files and memory on a node: transfers and streams."""
