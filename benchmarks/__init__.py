"""What numapool costs, each figure beside its peer in one run."""
