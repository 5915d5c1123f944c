"""The hypervisor's balloon: what it asks for, and what went back to the host."""
