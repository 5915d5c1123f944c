"""The pages of the documentation, and the blocks of Python on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
README = ROOT / "README.md"


@dataclass(frozen=True)
class Block:
    """A block of Python on a page."""

    page: Path
    line: int
    code: str

    @property
    def name(self) -> str:
        """Where it is: the page, and the line on which its code begins."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return README and every page of the documentation; no page where only the tests are."""
    return [README, *sorted(DOCS.rglob("*.md"))] if DOCS.is_dir() else []


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page that are marked as Python."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start(1)) + 1, found[1])
        for found in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]
