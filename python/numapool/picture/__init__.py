"""A drawing of the machine: the layout is computed here, and matplotlib renders it."""
