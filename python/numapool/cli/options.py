"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: ``--sysfs FOLDER``: a captured machine instead of this one.
Sysfs = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="A recorded machine: the folder with its sys and proc."),
]

#: ``--json``: for programs.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
