"""Where a stage's tasks run: this process, or a pool of them; on a Ray cluster, see `executors_ray`.

A task computes with exactly one thread, whatever runs it, so its bytes are the same serial and parallel; parallelism
is processes. `run_task` is the one function every executor calls.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from leaflineage.accelerators import VISIBLE, find_places
from leaflineage.config import Config
from leaflineage.errors import LeafLineageError
from leaflineage.freshness import find_staleness
from leaflineage.machine import describe_maker, measure_peak_mb
from leaflineage.stages.context import Context, name_accelerator
from leaflineage.stages.table import STAGES, describe_basis, shorten_basis
from leaflineage.store import Store, hash_json
from leaflineage.workers import heed_parent

WITHOUT_DEVICE = ("draw", "name", "collect")  # stages that compute on no device
Pool = tuple[ProcessPoolExecutor, int]  # and how many processes it has
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class TaskReport:
    """What came of a task."""

    stage: str
    slug: str
    seconds: float  # by the clock
    cpu_seconds: float
    peak_mb: float  # of the process that ran it, so far
    error: LeafLineageError | None = None
    maker: str = ""  # versions and processor


def run_task(stage_name: str, slug: str, run_dir: str, config_json: str, shared: bool = False) -> TaskReport:
    """Run one stage for one family (or for all, where ``slug`` is empty) and commit its artifact.

    Parameters
    ----------
    shared
        Whether other processes work in the same run: the task is claimed first, and left where another made it.

    Raises
    ------
    LeafLineageError
        Never: an error a user can mend comes back in the report, so that other families go on.
    """
    began, spent = time.monotonic(), time.process_time()
    error = None
    limit_threads()
    store = Store(Path(run_dir))
    try:
        with store.claim(stage_name, slug) if shared else contextlib.nullcontext(False) as waited:
            context = Context(store, Config.model_validate_json(config_json), slug)
            if not waited or find_staleness(stage_name, context) is not None:
                _run(stage_name, context)
    except LeafLineageError as caught:
        error = caught
    except RuntimeError as caught:
        if "out of memory" not in str(caught):  # torch has several kinds of it
            raise
        error = LeafLineageError(
            f"The stage {stage_name!r}{f' of {slug}' if slug else ''} wanted more memory than the GPU has free "
            f"({str(caught).partition('. ')[0]}). Let fewer processes share it (--jobs 1, or end what else runs on "
            "it), lower [visualize] crops, or use --device cpu; the same command goes on from there."
        )
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - spent
    return TaskReport(stage_name, slug, seconds, cpu_seconds, measure_peak_mb(), error, describe_maker())


def limit_threads() -> None:
    """Hold this process, torch and the linear algebra libraries in it, to one thread."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)


def count_jobs(wanted: int) -> int:
    """Return how many processes to use: ``wanted``, or as many as there are cores for us."""
    return wanted or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else wanted or os.cpu_count() or 1


class Executor(Protocol):
    """Who runs a stage's tasks; left, it ends what it started."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End: at once after Ctrl-C, else when the tasks that were begun are done."""

    def run(self, stage_name: str, slugs: Iterable[str]) -> Iterator[TaskReport]:
        """Yield a report a task, as they end."""


class LocalExecutor:
    """Runs tasks in this process (one job) or in a pool of spawned ones.

    Parameters
    ----------
    jobs
        Processes; 0 for as many as there are cores.
    shared
        Whether others work in the same run, and tasks are claimed.
    """

    def __init__(self, run_dir: Path, config: Config, *, jobs: int, shared: bool = False) -> None:
        self.jobs = count_jobs(jobs)
        self._device = config.run.device
        self._arguments = (str(run_dir), config.model_dump_json(), shared)
        self._pool: Pool | None = None
        self._gpu_pool: Pool | None = None  # of what computes on a GPU: fewer processes than cores

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pools = {found[0] for found in (self._pool, self._gpu_pool) if found is not None}
        try:
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                raise KeyboardInterrupt
            for pool in pools:
                pool.shutdown(wait=True, cancel_futures=True)
        except KeyboardInterrupt:  # then, or while what was begun comes to its end
            for pool in pools:
                _kill(pool)
            for pool in pools:
                pool.shutdown(wait=True, cancel_futures=True)
            raise

    def run(self, stage_name: str, slugs: Iterable[str]) -> Iterator[TaskReport]:
        """Yield a report a task, as they end.

        Raises
        ------
        LeafLineageError
            Where a worker process died.
        """
        if self.jobs == 1:
            for slug in slugs:
                with _finish_first():
                    report = run_task(stage_name, slug, *self._arguments)
                yield report
            return
        pool, n_processes = self._get_pool() if stage_name in WITHOUT_DEVICE else self._get_gpu_pool()
        left, waiting = iter(slugs), set[Future[TaskReport]]()
        while True:
            # No more than there are processes: after SIGTERM what is under way ends, and nothing else begins.
            for slug in itertools.islice(left, n_processes - len(waiting)):
                waiting.add(pool.submit(run_task, stage_name, slug, *self._arguments))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    yield future.result()
                except BrokenProcessPool as broken:
                    _kill(pool)  # the others heed no SIGTERM, which is how the pool would end them
                    raise LeafLineageError(
                        f"A worker process of the stage {stage_name!r} was ended from outside, most often for want of "
                        "memory. Use fewer processes ([run] jobs, or --jobs 1) and run the same command again: what "
                        "is finished is kept."
                    ) from broken

    def _get_pool(self) -> Pool:
        """Return the pool of as many processes as there are jobs, started the first time."""
        if self._pool is None:
            self._pool = _start_pool(self.jobs), self.jobs
        return self._pool

    def _get_gpu_pool(self) -> Pool:
        """Return the pool of the processes that share the GPUs; the other one where there is no GPU."""
        if self._gpu_pool is None:
            places = find_places(self._device)[: self.jobs]
            self._gpu_pool = (_start_pool(len(places), places), len(places)) if places else self._get_pool()
        return self._gpu_pool


@contextlib.contextmanager
def _finish_first() -> Iterator[None]:
    """Let SIGTERM wait until the task under way is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
    if heard:
        signal.raise_signal(signal.SIGTERM)


def _start_pool(jobs: int, places: Sequence[str] = ()) -> ProcessPoolExecutor:
    """Return a pool of processes of one thread each; ``places`` names the GPU of each, where they are told apart."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"  # spawned processes read it before they import numpy
    spawn = get_context("spawn")
    taken = spawn.SimpleQueue()
    for place in places:
        taken.put(place)
    return ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_start_worker, initargs=(taken,) if places else ())


def _kill(pool: ProcessPoolExecutor) -> None:
    """End a pool's processes at once: whatever is half written is invisible."""
    for process in list((pool._processes or {}).values()):
        process.kill()


def _start_worker(places: SimpleQueue[str] | None = None) -> None:
    """Heed the parent alone; take a GPU."""
    if places is not None and (place := places.get()):
        os.environ[VISIBLE] = place  # before torch is imported
    heed_parent()


def _run(stage_name: str, context: Context) -> None:
    stage = STAGES[stage_name]
    module = importlib.import_module(f"leaflineage.stages.{stage_name}")
    limit_threads()  # again: the import may have brought torch
    basis = describe_basis(stage, context)
    payload, files = module.run(context)
    context.store.commit(
        stage.record_path(context.slug),
        stage.kind,
        payload,
        fingerprint=hash_json(basis),
        files=files,
        basis=shorten_basis(basis),
        made_with=describe_maker(
            # Not asked of who computes on none: it may have no such device, and would take some of its memory.
            "" if stage_name in WITHOUT_DEVICE else name_accelerator(context.config.run.device)
        ),
    )
