"""Where the wheels' files are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "wheels"
#: What was fetched; with it, nothing is fetched again.
DOWNLOADS = BUILD / "downloads"
#: One file for each wheel: what it is, and what ran it.
RECORDS = BUILD / "records"
DIST = ROOT / "dist" / "wheels"
