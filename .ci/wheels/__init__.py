"""Cross-compiles the wheels of a release, and runs each: `make wheels`, `make test-wheels`."""
