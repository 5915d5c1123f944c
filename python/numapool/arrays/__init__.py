"""Arrays whose memory is on a node: NumPy's, Arrow's."""
