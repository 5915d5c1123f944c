"""Tests on real many-node Linux kernels, each in a QEMU guest with the topology it asks for."""
