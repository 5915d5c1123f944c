"""``numapool run``: starts a program on nodes, by binding this process and becoming the program."""

from __future__ import annotations

import sys

from numapool.base.errors import NodeNotFoundError
from numapool.base.units import ids_of
from numapool.cli.failure import one_line
from numapool.cli.run_nodes import nodes_named
from numapool.cli.run_options import NAME, RANKS, USAGE, Options, UsageError, help_text, read
from numapool.processes import binding as bind
from numapool.processes.binding import Binding

_WRONG_USAGE = 2


def start(arguments: list[str]) -> int:
    """Start a program, and return only where that fails or nothing is to be started."""
    try:
        options = read(arguments)
        if options.has("--help"):
            print(help_text())
            return 0
        bind.require_linux()
        if any(map(options.has, RANKS)):
            from numapool.cli.run_ranks import run_ranks

            return run_ranks(options)
        binding = _binding(options)
    except (UsageError, NodeNotFoundError) as error:
        print(f"{USAGE}\nTry '{NAME} --help' for help.\n", file=sys.stderr)
        print(f"Error: {one_line(str(error))}", file=sys.stderr)
        return _WRONG_USAGE
    if options.has("--dry-run"):
        return _show(options, binding)
    refused = bind.bind_this_thread(binding)
    for note in [*binding.notes, *refused]:
        _say(note)
    if options.has("--strict") and binding.mode == "bind":
        _say(_risk(binding))
    if options.has("--report"):
        _say(f"{binding}{' (in part, see above)' if refused else ''}")
    from numapool.processes.exec import become, end_with

    if options.has("--with-parent") and not end_with(int(options.values["--with-parent"])):
        return 1
    status, why = become(options.command)
    _say(why)
    return status


def _say(text: str) -> None:
    print(f"numapool: {one_line(text)}", file=sys.stderr)


def _risk(binding: Binding) -> str:
    nodes = bind.nodes_text(binding.memory_nodes)
    return (
        f"--strict: when {nodes} {'is' if len(binding.memory_nodes) == 1 else 'are'} full, the "
        "kernel kills this program even if other nodes have room"
    )


def _show(options: Options, binding: Binding) -> int:
    print(binding)
    for note in binding.notes:
        print(one_line(note))
    if options.has("--strict") and binding.mode == "bind":
        print(_risk(binding))
    if options.command:
        from shlex import join

        print(f"command: {one_line(join(options.command))}")
    return 0


def _binding(options: Options) -> Binding:
    binding = Binding()
    nodes = _nodes_of_the_program(options, binding)
    if options.has("--cpus"):
        cpus = _ids(options, "--cpus")
        try:
            bind.bind_these_cpus(binding, cpus)
        except ValueError as error:
            raise UsageError(f"Invalid value for '--cpus': {error}") from None
    elif nodes:
        bind.bind_cpus_near(binding, nodes)
    if options.has("--no-smt"):
        bind.leave_one_thread_per_core(binding)
    strict_or_preferred = "bind" if options.has("--strict") else "preferred"
    for name, mode in (
        ("--interleave", "interleave"),
        ("--weighted-interleave", "weighted-interleave"),
        ("--memory", strict_or_preferred),
    ):
        if options.has(name):
            bind.bind_memory(binding, _nodes(options, name, binding), mode)
            return binding
    if nodes:
        bind.bind_memory(binding, nodes, strict_or_preferred)
    return binding


def _nodes_of_the_program(options: Options, binding: Binding) -> list[int]:
    """Return the nodes that CPUs and memory are taken from; none where none were asked for."""
    if options.has("--near"):
        return _nodes_near(options, binding)
    if options.has("--node"):
        nodes = _nodes(options, "--node", binding)
    elif options.has("--by-rank"):
        nodes = bind.nodes_with_cpus()
    else:
        return []
    if not options.has("--by-rank"):
        return nodes
    from numapool.processes.ranks import local_rank

    try:
        rank, _ = local_rank()
    except ValueError as error:
        raise UsageError(f"'--by-rank': {error}") from None
    return [nodes[rank % len(nodes)]]


def _nodes_near(options: Options, binding: Binding) -> list[int]:
    from numapool.machine.device_search import device_node

    path = options.values["--near"]
    try:
        node = device_node(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"Invalid value for '--near': {error}") from None
    if node is not None:
        return [node]
    if options.has("--strict"):
        raise UsageError(f"'--near' with '--strict': the node of {path} is unknown")
    binding.notes.append(
        f"the node of {path} is unknown ('numapool device' shows why): the program is not bound"
    )
    return []


def _nodes(options: Options, name: str, binding: Binding) -> list[int]:
    if options.values[name] == "all":
        return bind.nodes_with_cpus() if name == "--node" else bind.nodes_with_memory()
    found, notes = nodes_named(name, options.values[name], strict=options.has("--strict"))
    binding.notes += notes
    return bind.existing(found)


def _ids(options: Options, name: str) -> list[int]:
    try:
        return ids_of(options.values[name])
    except ValueError as error:
        raise UsageError(f"Invalid value for '{name}': {error}") from None
