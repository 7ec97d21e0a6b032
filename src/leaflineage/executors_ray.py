"""Where a stage's tasks run: the workers of a Ray cluster.

A task is the same `run_task` of one stage and one family as elsewhere, and its result is what it writes into the run
folder, which every machine sees at the same path. Before it begins, a worker compares itself with the build that
sent the task. One that does not see the run folder, or has another state of LeafLineage, never joins; one with other
versions or another type of processor joins only a mixed build, for its bytes may differ. What a worker refuses goes to
another machine, and so does, three times, what a worker died of.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from leaflineage.claims import look_again, show_sign
from leaflineage.config import Config
from leaflineage.errors import ConfigError, LeafLineageError
from leaflineage.executors import THREAD_VARIABLES, WITHOUT_DEVICE, TaskReport, count_jobs, run_task
from leaflineage.machine import describe_maker
from leaflineage.stages.table import STAGES, hash_code

RETRIES = 3  # times that a task is begun again whose worker died
PATIENCE = 10.0  # seconds in which an address has to answer
LOOK = 5.0  # seconds between two looks at whether the cluster is still there
QUIET = {  # no report home, no hints
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_SCHEDULER_EVENTS": "0",
}
OBJECT_STORE_BYTES = 80 * 2**20  # the least that Ray takes: results go through the run folder


@dataclass(frozen=True)
class Build:
    """What a worker compares itself with.

    Attributes
    ----------
    maker
        Versions and processor of the machine that the build runs on.
    code
        Hash of the sources of the stage.
    sign
        Path of a file in the run folder, there while the build wants tasks begun.
    mixed
        Whether workers with other versions or another processor may join.
    """

    maker: str
    code: str
    sign: str
    mixed: bool


@dataclass(frozen=True)
class Refusal:
    """What a worker that did not begin a task says: the id of its machine in the cluster, its host, why."""

    node: str
    host: str
    reason: str


def run_joined(
    stage_name: str, slug: str, run_dir: str, config_json: str, shared: bool, build: Build
) -> TaskReport | Refusal:
    """Run a task on a worker of a Ray cluster that may join the build."""
    import ray

    reason = find_objection(stage_name, build)
    if reason is not None:
        return Refusal(ray.get_runtime_context().get_node_id(), socket.gethostname(), reason)
    for folder in _list_read(Path(run_dir), stage_name, slug):
        look_again(folder)
    return run_task(stage_name, slug, run_dir, config_json, shared)


def find_objection(stage_name: str, build: Build) -> str | None:
    """Say why this process may not join a build, or None where it may."""
    sign = Path(build.sign)
    if not sign.is_file():
        return f"it does not see the run folder {sign.parent}, which has to lie on a file system that all share"
    if hash_code(stage_name) != build.code:
        return f"its code of the stage {stage_name!r} is another: install one state of LeafLineage everywhere"
    maker = describe_maker()
    if maker != build.maker and not build.mixed:
        return f"it has {describe_difference(maker, build.maker)}: its bytes may differ (--mixed lets it join)"
    return None


def describe_difference(maker: str, other: str) -> str:
    """Return in words what one maker (`machine.describe_maker`) has that another has otherwise."""
    (versions, _, processor), (other_versions, _, other_processor) = maker.partition("; "), other.partition("; ")
    theirs = dict(each.rpartition(" ")[::2] for each in other_versions.split(", "))
    ours = dict(each.rpartition(" ")[::2] for each in versions.split(", "))
    told = [
        f"{name} {ours.get(name, 'missing')} where the build has {theirs.get(name, 'none')}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    if processor != other_processor:
        told.append(f"the processor {processor} where the build has {other_processor}")
    return ", ".join(told)


class RayExecutor:
    """Runs tasks on a Ray cluster.

    Parameters
    ----------
    address
        Of the cluster, as "10.0.0.1:6379"; "auto" for the one that this machine belongs to (or that RAY_ADDRESS
        names) and, where there is none, for one of this machine alone.
    jobs
        Processes of a cluster of this machine alone; 0 for as many as there are cores.
    shared
        Whether others work in the same run, and tasks are claimed.
    mixed
        Whether workers with other versions or another type of processor may join.
    say
        Told which cluster it is, which machines refuse to join, and which task is begun again.

    Raises
    ------
    ConfigError
        Where Ray is missing, or nothing answers at the address.
    """

    def __init__(
        self,
        run_dir: Path,
        config: Config,
        *,
        address: str,
        jobs: int,
        shared: bool,
        mixed: bool,
        say: Callable[[str], None],
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise ConfigError(
                "A Ray cluster was wanted (--ray), and Ray is not installed here. Install it on every machine of the "
                "cluster: pip install 'leaflineage[ray]'; or build without --ray, with --jobs or --shard."
            )
        self._run_dir = Path.cwd() / run_dir  # not resolved: an automounter's links differ between machines
        self._config, self._address, self._jobs = config, address, jobs
        self._shared, self._mixed, self._say = shared, mixed, say
        self._ray: Any = None
        self._remote: Any = None
        self._where = ""  # HOST:PORT of its head
        self._sign: Path | None = None
        self._device, self._on_gpu = config.run.device, False  # the second, of the stage that is run
        self._refused: dict[str, Refusal] = {}  # by the machine's id
        self._waiting: dict[Future[TaskReport | Refusal], str] = {}  # slugs

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sign is not None:
            self._sign.unlink(missing_ok=True)  # what is queued is not begun any more
        if self._ray is None:
            return
        try:
            if kind is not None and not issubclass(kind, KeyboardInterrupt):
                while wait(self._waiting, timeout=1).not_done and self._is_there() and self._list_able():
                    pass  # finish what was begun; a signal may have ended the cluster too
        finally:
            self._ray.shutdown()  # ends this build's workers

    def run(self, stage_name: str, slugs: Iterable[str]) -> Iterator[TaskReport]:
        """Yield a report a task, as they end.

        Raises
        ------
        LeafLineageError
            Where no machine may join, or a task's workers died once more than it is begun again.
        """
        self._connect()
        self._on_gpu = self._device.startswith("cuda") and stage_name not in WITHOUT_DEVICE
        told = False
        deaths: Counter[str] = Counter()
        record = self._run_dir / STAGES[stage_name].record
        for slug in slugs:
            self._submit(stage_name, slug)
        while self._waiting:
            done, _ = wait(self._waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
            if not done and not self._is_there():
                raise self._give_up(f"nothing answers at {self._where}")
            if not done and not told and not self._list_able():
                told = True
                self._say(
                    f"{stage_name}: the cluster has no machine {'with a GPU ' if self._on_gpu else ''}left; waiting"
                )
            for future in done:
                slug = self._waiting.pop(future)
                outcome = self._receive(future, stage_name, slug, deaths)
                if isinstance(outcome, TaskReport):
                    look_again(Path(str(record).format(slug=slug)).parent)
                    yield outcome
                else:
                    self._submit(stage_name, slug)

    def _receive(
        self, future: Future[TaskReport | Refusal], stage_name: str, slug: str, deaths: Counter[str]
    ) -> TaskReport | None:
        """Return a task's report, None where it has to be begun again."""
        failures = self._ray.exceptions
        lost = (
            failures.WorkerCrashedError,
            failures.NodeDiedError,
            failures.OutOfMemoryError,
            failures.ObjectLostError,
        )
        task = f"{stage_name} of {slug or 'all families'}"
        try:
            outcome = future.result()
        except lost as error:
            deaths[slug] += 1
            if deaths[slug] > RETRIES:
                raise LeafLineageError(
                    f"{task} was to be made on the Ray cluster, and the worker that had begun it died {deaths[slug]} "
                    "times, most often for want of memory. Give each worker more (fewer CPUs a machine: ray start "
                    "--num-cpus), and run the same command again: what is finished is kept."
                ) from error
            self._say(f"{task}: its worker died; it is begun again")
            return None
        except failures.RayTaskError as error:
            if not isinstance(error.cause, ImportError) and "ModuleNotFoundError" not in str(error):
                raise  # a defect of ours, with the worker's own trace
            raise LeafLineageError(
                f"{task} was to be made on the Ray cluster, and a worker could not import what it needs "
                f"({_last_line(error)}). Install LeafLineage and its dependencies, at the same versions, in the "
                "Python that Ray was started with on every machine."
            ) from error
        except failures.RayError as error:
            raise self._give_up(_last_line(error)) from error
        if isinstance(outcome, TaskReport):
            return outcome
        self._refuse(outcome)
        return None

    def _give_up(self, reason: str) -> LeafLineageError:
        """Wait for nobody any more; return what there is to say."""
        self._waiting.clear()
        return LeafLineageError(
            f"Tasks were to be made on the Ray cluster, and the cluster is gone ({reason}). See ray status, "
            "and run the same command again: what is finished is kept."
        )

    def _is_there(self) -> bool:
        """Tell whether the cluster's head answers; Ray itself would end this process where it does not."""
        try:
            check_address(self._where)
        except ConfigError:
            return False
        return True

    def _refuse(self, refusal: Refusal) -> None:
        """Send no more tasks to a machine."""
        if refusal.node not in self._refused:
            self._refused[refusal.node] = refusal
            self._say(f"{refusal.host} does not join: {refusal.reason}")
        if not self._list_able():
            self._waiting.clear()  # none of them was begun
            reasons = sorted({f"{each.host}: {each.reason}" for each in self._refused.values()})
            raise LeafLineageError(
                f"Workers of the Ray cluster{' with a GPU' if self._on_gpu else ''} were wanted, and none of its "
                f"machines may join this build: "
                f"{'; '.join(reasons)}. Mend that, or build without --ray."
            )

    def _submit(self, stage_name: str, slug: str) -> None:
        build = Build(describe_maker(), hash_code(stage_name), str(self._sign), self._mixed)
        task = self._remote.options(
            name=f"{stage_name} {slug}".rstrip(),
            num_cpus=1,
            num_gpus=1 if self._on_gpu else 0,
            label_selector={"ray.io/node-id": f"!in({','.join(sorted(self._refused))})"} if self._refused else None,
        )
        settings = self._config.model_copy(
            update={"run": self._config.run.model_copy(update={"device": self._device})}
        ).model_dump_json()
        reference = task.remote(stage_name, slug, str(self._run_dir), settings, self._shared, build)
        self._waiting[reference.future()] = slug

    def _list_able(self) -> list[dict[str, Any]]:
        """Return the machines that may run a task of this stage."""
        return [
            each
            for each in self._list_machines()
            if each["NodeID"] not in self._refused and (not self._on_gpu or each["Resources"].get("GPU"))
        ]

    def _list_machines(self) -> list[dict[str, Any]]:
        return [each for each in self._ray.nodes() if each["Alive"] and each["Resources"].get("CPU")]

    def _connect(self) -> None:
        """Connect to the cluster, or start one, the first time that a task is wanted."""
        if self._ray is not None:
            return
        address = find_cluster() if self._address == "auto" else self._address
        if address is not None:
            check_address(address)
        # Ray reads these when it is imported. Where there is a token, `ray start` asks for it; a cluster that is
        # started here makes its own.
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        if address is not None and (Path.home() / ".ray" / "auth_token").is_file():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        import ray

        of_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGTERM)
        try:
            how = _start(ray, address, count_jobs(self._jobs))
        finally:
            if of_main_thread:
                signal.signal(signal.SIGTERM, handler)  # Ray sets one of its own
        self._ray, self._where = ray, ray.get_runtime_context().gcs_address
        self._sign = show_sign(self._run_dir)
        # Ray's own retries would leave us nothing to say. No end of calls: a worker keeps its classifier, on a GPU too.
        self._remote = ray.remote(max_calls=0, max_retries=0)(run_joined)
        machines, resources = self._list_machines(), self._ray.cluster_resources()
        n_gpus = int(resources.get("GPU", 0))
        self._device = choose_device(self._config.run.device, n_gpus)
        on = f", {n_gpus} GPUs" if self._device.startswith("cuda") else ""
        noun = "machine" if len(machines) == 1 else "machines"
        self._say(f"Ray {how}: {len(machines)} {noun}, {int(resources.get('CPU', 0))} workers{on}")


def choose_device(wanted: str, n_gpus: int) -> str:
    """Return the device that tasks compute on in a cluster: "auto" takes CUDA where a machine has it.

    Raises
    ------
    ConfigError
        Where CUDA is wanted and the cluster has none.
    """
    if wanted == "auto":
        return "cuda" if n_gpus else "cpu"
    if not wanted.startswith("cuda"):
        return wanted
    if not n_gpus:
        raise ConfigError(
            f"[run] device = {wanted!r} was wanted (or --device), and no machine of the Ray cluster offers a GPU. "
            "Start them with ray start --num-gpus, or use --device cpu."
        )
    return "cuda"  # which one, Ray says


def check_address(address: str) -> None:
    """Raise a ConfigError where an address is none, or nothing answers there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ConfigError(
            f"The address of a Ray cluster was wanted (--ray HOST:PORT), and {address!r} is none. `ray start --head` "
            "prints it; --ray auto takes the cluster that this machine belongs to. A build runs on one of the "
            "cluster's machines, so ray:// has no place."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"A Ray cluster was wanted at {address}, and nothing answers there ({error}). Start one with ray start "
            "--head, or use the address that it printed."
        ) from error


def find_cluster() -> str | None:
    """Return the address that RAY_ADDRESS names, or else of the cluster that this machine belongs to; None without one.

    Ray's own "auto" waits for minutes for a cluster that was killed, and joins one that another build started for
    itself, which ends with that build.
    """
    named = os.environ.get("RAY_ADDRESS")
    if named:
        return named
    kept = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"  # by the last `ray start`
    try:
        address = kept.read_text(encoding="utf-8").strip()
        check_address(address)
    except (OSError, ConfigError):
        return None
    return address


def _start(ray: Any, address: str | None, jobs: int) -> str:
    """Connect to a cluster, or start one on this machine; say which it is."""
    names = (*THREAD_VARIABLES, "SOURCE_DATE_EPOCH")
    given = {name: "1" if name in THREAD_VARIABLES else os.environ.get(name) for name in names}
    settings: dict[str, Any] = {
        "logging_level": "CRITICAL",
        "log_to_driver": False,
        "runtime_env": {"env_vars": {name: value for name, value in given.items() if value is not None}},
    }
    alone = {"num_cpus": jobs, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    if address is None:
        try:
            ray.init(address="local", **alone, **settings)
        except Exception as error:
            raise ConfigError(
                f"A Ray cluster was to be started on this machine, and was not ({_last_line(error)}). Run the same "
                "command again when the machine is less busy, or build without --ray, with --jobs."
            ) from error
        return "started on this machine"
    try:
        ray.init(address=address, **settings)
    except ConnectionError as error:
        raise ConfigError(
            f"A Ray cluster was wanted at {address}, and what answers there is none that this machine belongs to. Join "
            f"it first: ray start --address {address}."
        ) from error
    except Exception as error:  # Ray raises bare ones
        raise ConfigError(
            f"A Ray cluster was wanted at {address}, and could not be joined: {_last_line(error)}. The build has to "
            "run on one of its machines, with the Python and the Ray that it was started with."
        ) from error
    return f"at {address}"


def _list_read(run: Path, stage_name: str, slug: str) -> Iterator[Path]:
    """Yield the folders that a task reads."""
    yield from (run, run / "specimens", run / "queries")
    if slug and not STAGES[stage_name].crosses:
        yield run / "families" / slug
    else:
        yield from sorted((run / "families").glob("*"))


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1].rstrip(".")
