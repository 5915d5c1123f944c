"""Races, figures and peers that the benchmarks share."""
