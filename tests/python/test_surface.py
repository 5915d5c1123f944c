"""Random calls of the Python surface: any argument is taken or refused by a documented error."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import surface, surface_data
from support.draws import Draw

#: More of them outside of the short run: `make fuzz`.
EXAMPLES = int(os.environ.get("NUMAPOOL_FUZZ_EXAMPLES", "60"))
RANDOM = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="NUMAPOOL_FUZZ_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TARGETS = {**surface.TARGETS, **surface_data.TARGETS}


class Examples(Draw):
    """Arguments drawn by Hypothesis, which makes what fails smaller."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def real(self) -> float:
        return self._draw(st.floats())

    def text(self, most: int) -> str:
        return self._draw(st.text(max_size=most))

    def data(self, most: int) -> bytes:
        return self._draw(st.binary(max_size=most))


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> surface.Tools:
    return surface.Tools(tmp_path_factory.mktemp("surface"))


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
@pytest.mark.parametrize("name", TARGETS)
@RANDOM
@given(data=st.data())
def test_any_arguments(name: str, data: st.DataObject, tools: surface.Tools) -> None:
    TARGETS[name](Examples(data), tools)
