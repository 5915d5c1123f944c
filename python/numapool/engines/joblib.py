"""A joblib backend whose worker processes start on nodes: ``parallel_config("numapool", nodes=)``.

Each node has an executor of loky, which runs joblib's own processes. Loaded only by its users,
whose import registers the backend.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib import register_parallel_backend
from joblib._memmapping_reducer import TemporaryResourcesManager, get_memmapping_reducers
from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase
from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor
from joblib.parallel import FallbackToBackend, SequentialBackend

from numapool.base import arguments
from numapool.machine.node_set import NodesLike, nodes_of
from numapool.memory import shared
from numapool.processes.binding import cpus_near, existing, nodes_with_cpus
from numapool.processes.children import spawning_on

__all__ = ["NodeBackend"]

_IDLE_S = 300.0  # as joblib's own


class NodeBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # has no types
    """Runs the tasks of :class:`joblib.Parallel` in processes on nodes.

    Importing this module registers it as ``"numapool"``. Workers start on their node's CPUs and
    prefer its memory (:class:`numapool.children_on`); so do those that replace others. A task goes
    to the node with the least to do for each worker.

    Arrays among the arguments that are larger than joblib's ``max_nbytes`` are shared by the
    workers of a node, by a memory map on that node; a :class:`numapool.SharedNodeBuffer` travels by
    handle.

    As with loky, ``n_jobs`` counts all workers, and with one job the tasks run in the calling
    process. Workers stay for the next call, until they have been idle for a while, or the backend
    is dropped.

    Parameters
    ----------
    nodes : NodesLike, optional
        The nodes; by default those with CPUs that this process may use.
    idle_worker_timeout : float, optional
        Seconds after which an idle worker ends; by default 300.
    **options
        What joblib passes to each backend.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    UnsupportedError
        The platform has no way to place processes.
    ValueError
        There is no node.

    Examples
    --------
    >>> import math
    >>> from joblib import Parallel, delayed, parallel_config
    >>> import numapool.engines.joblib
    >>> with parallel_config("numapool", nodes="0", n_jobs=2):
    ...     Parallel()(delayed(math.sqrt)(i) for i in (1, 4, 9))
    [1.0, 2.0, 3.0]
    """

    default_n_jobs = -1
    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(
        self,
        nodes: NodesLike | None = None,
        idle_worker_timeout: float = _IDLE_S,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        wanted = nodes_with_cpus() if nodes is None else existing(nodes_of("nodes", nodes))
        if not wanted:
            raise ValueError("nodes must name at least one node")
        self._cpus = {node: len(cpus_near(node)) for node in wanted}
        self._blocks = {node: spawning_on(node) for node in wanted}
        self._idle_s = arguments.wait("idle_worker_timeout", idle_worker_timeout)
        self._workers: dict[int, _Workers] | None = None
        self._settings: dict[str, Any] = {}

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many workers there would be; -1 stands for one on each CPU of the nodes."""
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0")
        if n_jobs is None or multiprocessing.current_process().daemon:  # which has no children
            return 1
        return n_jobs if n_jobs > 0 else max(sum(self._cpus.values()) + 1 + n_jobs, 1)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, require: Any = None,
        **options: Any,
    ) -> int:  # fmt: skip
        """Get ready for a call, with the workers of the last one where they are as many."""
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        settings = {
            "counts": self._share_out(count),
            "env": self._prepare_worker_env(n_jobs=count),
            "options": {key: value for key, value in options.items() if key in _OF_MEMORY_MAPS},
        }
        if self._workers is None or settings != self._settings:
            self._end(kill=False)
            self._settings = settings
            self._workers = {node: self._new(node) for node in settings["counts"]}
        self.parallel = parallel
        for one in self._workers.values():
            one.files.set_current_context(parallel._id)
        return count

    def _share_out(self, count: int) -> dict[int, int]:
        """Return how many workers each node gets, by its CPUs; nodes without any are left out."""
        counts = dict.fromkeys(self._cpus, 0)
        for _ in range(count):
            counts[min(counts, key=lambda node: (counts[node] + 1) / self._cpus[node])] += 1
        return {node: workers for node, workers in counts.items() if workers}

    def _new(self, node: int) -> _Workers:
        workers = self._settings["counts"][node]
        return _Workers(workers, self._idle_s, self._settings["env"], self._settings["options"])

    def submit(self, func: Callable[[], Any], callback: Any = None) -> Future[Any]:
        """Have a worker call `func`, on the node with the least to do for each worker.

        joblib calls this from several threads, but from one at a time.
        """
        workers = self._workers
        assert workers is not None
        node = min(workers, key=lambda one: workers[one].load)
        with self._blocks[node]:  # a worker may be started, or a thread that starts some later
            try:
                future = workers[node].submit(func)
            except BrokenProcessPool:  # a worker was killed while it had nothing to do
                workers[node] = self._new(node)
                workers[node].files.set_current_context(self.parallel._id)
                future = workers[node].submit(func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return what the task returned, or raise what it raised."""
        return out.result()

    def terminate(self) -> None:
        """Remove what a call has left behind; the workers stay for the next."""
        for one in (self._workers or {}).values():
            one.files._clean_temporary_resources(context_id=self.parallel._id, force=False)
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End all workers at once; start new ones if the call goes on."""
        self._end(kill=True)
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)

    def _end(self, kill: bool) -> None:
        workers, self._workers = self._workers or {}, None
        for one in workers.values():
            one.end(kill)


#: What joblib passes on that says how arrays are shared.
_OF_MEMORY_MAPS = ("temp_folder", "max_nbytes", "mmap_mode", "verbose")


class _Workers:
    """The workers of a node, and the files by which arrays are passed to them.

    Whatever writes those files are threads of the executor. They are started by the first
    ``submit``, so they are on the node like the workers, and so are the pages of the files.
    """

    def __init__(
        self, count: int, idle_s: float, env: dict[str, str], options: dict[str, Any]
    ) -> None:
        self._count = count
        self._undone: set[Future[Any]] = set()
        options = dict(options)
        self.files = TemporaryResourcesManager(options.pop("temp_folder", None))
        forward, backward = get_memmapping_reducers(
            forward_reducers={shared.SharedNodeBuffer: shared.reduce_for_children},
            temp_folder_resolver=self.files.resolve_temp_folder_name,
            unlink_on_gc_collect=True,
            **options,
        )
        self._executor = ProcessPoolExecutor(
            count, timeout=idle_s, env=env, job_reducers=forward, result_reducers=backward
        )

    @property
    def load(self) -> float:
        """Tasks that are not done, for each worker."""
        return len(self._undone) / self._count

    def submit(self, func: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = self._executor.submit(func)
        self._undone.add(future)
        future.add_done_callback(self._undone.discard)
        return future

    def end(self, kill: bool) -> None:
        self._executor.shutdown(wait=True, kill_workers=kill)
        self.files._clean_temporary_resources(force=kill, allow_non_empty=True)


register_parallel_backend("numapool", NodeBackend)
