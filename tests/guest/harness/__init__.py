"""Boots many-node machines under QEMU and runs tests inside them."""
