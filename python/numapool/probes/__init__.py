"""The probes behind ``capabilities()``: one file for each matter, one function for each answer."""
