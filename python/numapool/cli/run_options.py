"""The options of ``numapool run``, read by hand: a program is not to wait for typer to load."""

from __future__ import annotations

NAME = "numapool run"
#: (option, what it takes, what it does); those that take nothing are flags.
OPTIONS = (
    ("--node", "NODES", "CPUs and memory of these nodes: 1, 0-1,3, socket:0, gpu:0, all."),
    ("--near", "PATH", "CPUs and memory of the node of this file, disk, adapter or GPU."),
    ("--cpus", "CPUS", "These CPUs, by number: 0-3,8."),
    ("--memory", "NODES", "Memory of these nodes first, then of the nearest with room."),
    ("--interleave", "NODES", "Memory from these nodes in turns, page by page."),
    ("--weighted-interleave", "NODES", "The same by the kernel's weights (Linux 6.9)."),
    ("--strict", "", "Memory of the nodes only: a full node gets the program killed."),
    ("--no-smt", "", "One CPU of each core."),
    ("--by-rank", "", "Of the nodes the one of the launcher's local rank, in turns."),
    ("--per-node", "", "One rank of the program on each node (or each of --node)."),
    ("--per-device", "GLOB", "One rank for each device, on its node: '/dev/nvme*n1'."),
    ("--restarts", "N", "With ranks: start them again if one fails, so often."),
    ("--each", "", "With --restarts: start only the failed rank again."),
    ("--grace", "SECONDS", "With ranks: from SIGTERM to SIGKILL, if one fails (10)."),
    ("--log-dir", "FOLDER", "With ranks: also write each one's output to a file."),
    ("--dry-run", "", "Show what would be bound, and start nothing."),
    ("--report", "", "Print the binding on standard error."),
    ("--help", "", "Show this message and exit."),
)
_TAKES = {name: takes for name, takes, _ in OPTIONS}
# Of the launcher, for its ranks: they end with the process of this id.
_TAKES["--with-parent"] = "PID"
RANKS = ("--per-node", "--per-device")
_OF_RANKS = ("--restarts", "--each", "--grace", "--log-dir")
_WITH_RANKS = (*RANKS, *_OF_RANKS, "--node", "--dry-run")

_COLUMN = 31  # of what an option does

USAGE = f"Usage: {NAME} [OPTIONS] [--] COMMAND [ARGS]..."


class UsageError(ValueError):
    """The options make no sense."""


class Options:
    """What was asked for.

    Attributes
    ----------
    values : dict[str, str]
        The options that were given, by name; flags with an empty text.
    command : list[str]
        The program and its arguments.
    """

    __slots__ = ("command", "values")

    def __init__(self, values: dict[str, str], command: list[str]) -> None:
        self.values = values
        self.command = command

    def has(self, name: str) -> bool:
        """Whether an option was given."""
        return name in self.values


def help_text() -> str:
    """Return what ``--help`` shows."""
    lines = [
        USAGE,
        "",
        "  Start a program on nodes: on their CPUs, with memory from them first.",
        "",
        "  The program has the same process id, and its exit status is passed on. If a",
        "  node is full, memory comes from the nearest node with room.",
        "",
        "Options:",
    ]
    from textwrap import wrap

    for name, takes, text in OPTIONS:
        first, *more = wrap(text, 80 - _COLUMN)
        lines.append(f"  {name} {takes}".ljust(_COLUMN) + first)
        lines += [" " * _COLUMN + line for line in more]
    return "\n".join(lines)


def read(arguments: list[str]) -> Options:
    """Read the arguments: options, then the program and its own, perhaps after ``--``.

    Raises
    ------
    UsageError
        They make no sense; the message says why.
    """
    values: dict[str, str] = {}
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != "-":
        argument = arguments[at]
        at += 1
        if argument == "--":
            break
        name, equals, value = argument.partition("=")
        if name not in _TAKES:
            raise UsageError(f"No such option: {name}")
        if not _TAKES[name] and equals:
            raise UsageError(f"Option '{name}' does not take a value.")
        if _TAKES[name] and not equals:
            if at == len(arguments):
                raise UsageError(f"Option '{name}' requires an argument.")
            value = arguments[at]
            at += 1
        values[name] = value
    options = Options(values, arguments[at:])
    if not options.has("--help"):
        _check(options)
    return options


def _check(options: Options) -> None:
    _at_most_one(options, *RANKS)
    if _any(options, *RANKS):
        for name in options.values:
            if name not in _WITH_RANKS:
                raise UsageError(f"'{name}' does not go with '--per-node' and '--per-device'.")
        _at_most_one(options, "--per-device", "--node")
    for name in _OF_RANKS:
        if options.has(name) and not _any(options, *RANKS):
            raise UsageError(f"'{name}' needs '--per-node' or '--per-device'.")
    if options.has("--each") and not options.has("--restarts"):
        raise UsageError("'--each' needs '--restarts'.")
    _at_most_one(options, "--node", "--near")
    _at_most_one(options, "--memory", "--interleave", "--weighted-interleave")
    if options.has("--strict") and not _any(options, "--node", "--near", "--memory"):
        raise UsageError("'--strict' needs '--node', '--near' or '--memory'.")
    if options.has("--strict") and _any(options, "--interleave", "--weighted-interleave"):
        raise UsageError("'--strict' does not go with interleaving.")
    if options.has("--by-rank") and _any(options, "--near", "--cpus"):
        raise UsageError("'--by-rank' chooses a node: it does not go with '--near' or '--cpus'.")
    if not set(options.values) - {"--dry-run", "--report", "--strict"}:
        raise UsageError("Say where to run: '--node', '--near', '--cpus', '--memory', ...")
    if not options.command and not options.has("--dry-run"):
        raise UsageError("Missing argument 'COMMAND'.")


def _any(options: Options, *names: str) -> bool:
    return any(map(options.has, names))


def _at_most_one(options: Options, *names: str) -> None:
    given = [f"'{name}'" for name in names if options.has(name)]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} do not go together.")
