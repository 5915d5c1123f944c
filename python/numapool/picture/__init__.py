"""A drawing of the machine: what goes where is computed here, matplotlib puts it on paper."""
