"""Sizes, lists of ids and rates as people read them on a screen."""

from numapool.base.units import cpus_text, ids_text, printable, rate_text, size_text, total_text

__all__ = ["cpus_text", "ids_text", "printable", "rate_text", "size_text", "total_text"]
