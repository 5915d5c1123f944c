"""Figures for operators: Prometheus metrics, and pools shown to other processes."""
