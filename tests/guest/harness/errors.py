"""What can go wrong with a guest, as opposed to a test inside it."""

from __future__ import annotations


class Unavailable(Exception):
    """This computer lacks what guests need: a reason to skip, in CI to fail. Says what to do."""


class GuestError(Exception):
    """A guest did not boot, died or did not answer in time; ends with the console's tail."""
