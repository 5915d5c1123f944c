"""Threads on the CPUs of a node."""
