"""Pools and rings of blocks that are used again."""
