"""Tests that misbehave on purpose; run by test_harness.py only, never collected by name."""
