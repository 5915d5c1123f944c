"""Nodes that options of ``numapool run`` name: ids at once, words by loading what reads them."""

from __future__ import annotations

from numapool.base.units import ids_of
from numapool.cli.run_options import UsageError


def nodes_named(name: str, text: str, *, strict: bool = False) -> tuple[list[int], list[str]]:
    """Return the nodes that an option names, ascending, and a note about them.

    Parameters
    ----------
    name : str
        The option.
    text : str
        Its value: ids, or words as :func:`numapool.nodes` takes them.
    strict : bool
        Whether a disk or an adapter of unknown node is an error.

    Raises
    ------
    UsageError
        The text names no nodes.
    NodeNotFoundError
        A word names a node that is not there.
    """
    try:
        return ids_of(text), []
    except ValueError:
        pass
    import warnings

    from numapool.base.errors import NodeNotFoundError, PlacementError
    from numapool.machine.node_set import nodes

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = list(nodes(text, strict=strict).ids)
        except NodeNotFoundError:
            raise
        except ValueError as error:
            why = f"{text!r}: it {str(error).removeprefix('spec ')}"
            raise UsageError(f"Invalid value for '{name}': {why}") from None
        except (OSError, PlacementError) as error:
            raise UsageError(f"Invalid value for '{name}': {text!r}: {error}") from None
    if not found:
        raise UsageError(f"Invalid value for '{name}': {text!r} names no node of this machine")
    return found, [str(one.message) for one in told]
