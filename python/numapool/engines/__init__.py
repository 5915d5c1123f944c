"""Engines that run Python on many processes or machines: one folder or file for each.

None is imported unless its user asks for it: each needs the engine that it is named after.
"""
