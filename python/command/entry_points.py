"""Says which commands installers make themselves: one on Windows, where a script is no program.

Elsewhere wheels bring a script, `numapool` beside this file. The one that an installer writes may
import `re` first (pip did so before 25.1), which takes half as long as Python takes to start:
`numapool run` would be a third slower.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping


def dynamic_metadata(
    settings: Mapping[str, object], project: Mapping[str, object]
) -> dict[str, dict[str, str]]:
    """Return the field `scripts` of the project (scikit-build-core calls this)."""
    installed = sysconfig.get_platform().startswith("win")
    return {"scripts": {"numapool": "numapool.cli.command:main"} if installed else {}}
