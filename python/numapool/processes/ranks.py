"""The rank of this process among those on its machine, as launchers tell it."""

from __future__ import annotations

import os

#: By launcher: torchrun, Open MPI, Intel MPI, MPICH's Hydra, Slurm, PALS.
LOCAL_RANKS = (
    "LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "PMI_LOCAL_RANK",
    "SLURM_LOCALID",
    "PALS_LOCAL_RANKID",
)


def local_rank() -> tuple[int, str]:
    """Return the rank, and the variable that told it.

    Raises
    ------
    ValueError
        No variable tells it, or the first that is set holds no number.
    """
    for name in LOCAL_RANKS:
        text = os.environ.get(name)
        if text is None:
            continue
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{name}={text!r} is not a rank: it must be an integer from 0 up")
        return int(text), name
    raise ValueError(f"no launcher told a rank: none of {', '.join(LOCAL_RANKS)} is set")
