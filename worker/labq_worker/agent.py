"""The agent of one node: puts the parts together, keeps containers and leases in line, takes messages."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable

from labq import __version__
from labq.clock import now
from labq.errors import NotAllowedError, UnavailableError
from labq.neighbours import Neighbours
from labq.node import Gpu, Node
from labq.sdnotify import Supervised
from labq.store import Store
from labq.store.messages import TakeWork
from labq.wire import queue_name
from labq_worker import machine, tasks
from labq_worker.adopt import Reconciler
from labq_worker.attempts import Attempt, Attempts
from labq_worker.carrying import Carrier
from labq_worker.config import AgentConfig
from labq_worker.container_args import Host
from labq_worker.containers import Engine, EngineInfo
from labq_worker.context import Context, NoShipping
from labq_worker.contexts import ContextSource
from labq_worker.data_dir import check_data_dir, take_data_dir
from labq_worker.disk import DiskWatch
from labq_worker.engine_errors import EngineError
from labq_worker.follow import sample_memory
from labq_worker.gpu_use import GpuUse
from labq_worker.heartbeat import Heartbeat
from labq_worker.images import Images
from labq_worker.joining import require_accepted
from labq_worker.lease_notes import LeaseNotes
from labq_worker.paths import Paths
from labq_worker.places import PlaceMaker
from labq_worker.retry import until_it_answers
from labq_worker.runner import Runner
from labq_worker.server import Server
from labq_worker.shipping import Shipper
from labq_worker.sim_gpus import PREFIX, simulated_gpus, simulated_neighbours
from labq_worker.timers import Timers

log = logging.getLogger(__name__)
#: Seconds between two looks at containers and leases: what a lost message costs.
RECONCILE = 5.0
#: Seconds between two looks at the memory of running containers.
SAMPLE = 2.0
#: Seconds that the first look at the GPUs is waited for; until it has come they get no jobs anyway.
FIRST_LOOK = 5.0
#: Seconds until a node that was removed from the lab asks again whether it is accepted.
REFUSED_AGAIN = 2.0
#: Seconds after which a process that was told to end does so, whatever it still waits for.
LAST_MOMENT = 1.5
#: Seconds within which a loop comes round, or it hangs. Longer than what may keep it: the engine's 120 s for one answer
#: (containers.py), several times in a row; Redis' 60 s for one message (store/messages.py), tried four times.
MESSAGES_LIMIT, WORK_LIMIT = 600.0, 900.0


class Agent:
    """One node's agent. Nothing in it must survive: labels and Redis say all."""

    def __init__(self, config: AgentConfig, supervised: Supervised | None = None) -> None:
        """Connect to the engine and to Redis, waiting for both.

        Args:
            config: what it was told.
            supervised: how systemd sees this process; None = it does not.

        Raises:
            ConflictError: another agent uses the data directory.
            BadInputError: a setting is not legal, or the data directory is not what the settings say.
        """
        self.config = config
        check_data_dir(config)
        self._lock = take_data_dir(config.data_dir, config.name)
        self._supervised = supervised or Supervised()
        # Not when engine and Redis answer: whoever starts the unit does not wait for those.
        self._supervised.ready("waits for the Docker engine and Redis")
        agent = machine.agent_id(config.data_dir, secrets.token_hex(8))
        attempts = Attempts()
        notes = LeaseNotes(config, agent, attempts)
        epoch = f"{int(now())}-{secrets.token_hex(4)}"
        use = (
            GpuUse(Store(config.redis_url), config.name, epoch, notes.all, config.engines, config.stamp_key)
            if config.gpus == "auto"
            else None
        )
        server = None if config.shared_files else Server(config.server, config.node_token)
        engine = until_it_answers(Engine, "connect to the Docker engine")
        info = until_it_answers(engine.info, "ask the Docker engine")
        paths = Paths(config.data_dir)
        self._shipper = None if server is None else Shipper(paths, server)
        self.context = Context(
            config=config,
            host=Host(config.name, agent, info.cgroup_driver, float(info.cpus)),
            store=Store(config.redis_url),
            engine=engine,
            paths=paths,
            places=PlaceMaker(paths, config.mounts, f"labq-secrets-{agent}"),
            attempts=attempts,
            timers=Timers(),
            shipping=self._shipper or NoShipping(),
            carrier=Carrier(paths, config.name, server),
            notes=notes,
        )
        self.runner = Runner(self.context)
        self.images = Images(self.context, ContextSource(paths, server))
        self._reconciler = Reconciler(self.context, self.runner)
        self._reconciling = threading.Lock()
        self._look_now = threading.Event()
        node = _node(config, _gpus(config, use), info, use.watch.driver if use is not None else "")
        self.use = use
        self.heartbeat = Heartbeat(
            self.context.store,
            node,
            use,
            each_beat=notes.write,
            before_registering=lambda: self.reconcile(sure=True),
            may_register=lambda: (
                # `labq up` makes the tokens of its own agent.
                None
                if config.shared_files
                else require_accepted(self.context.store, config.name, config.node_token)
            ),
        )
        self._disk = DiskWatch(self.context, info.root, self.runner.stopper.wrote_too_much)
        self.heartbeat.disk = lambda: self._disk.told
        notes.slots = lambda: {gpu.uuid: gpu.slot for gpu in self.heartbeat.node.gpus}

    def run(self) -> None:
        """Work until SIGTERM or SIGINT. In the main thread."""
        tasks.use(self)
        name = self.config.name
        queue = queue_name(name)
        until_it_answers(lambda: self.reconcile(sure=True), "reconcile containers and leases")
        if self.use is not None:
            # Before the node takes work: what goes on on its GPUs must be known.
            self.use.start()
            if not self.use.wait_looked(FIRST_LOOK):
                log.warning(
                    "the GPUs have not been looked at within %g s; until then they get no jobs", FIRST_LOOK
                )
        self._register()
        self.heartbeat.on_turn = self._supervised.loop("heartbeat", WORK_LIMIT).beat
        self.heartbeat.start()
        loops = (
            ("reconcile", self._keep_reconciling),
            ("memory", self._keep_sampling),
            ("disk", self._keep_measuring),
        )
        for name, work in loops:
            threading.Thread(target=work, name=name, daemon=True).start()
        threading.Thread(target=self._tidy, name="tidy", daemon=True).start()
        node = self.heartbeat.node
        log.info("node %s: %g cores, %d GPUs", node.name, node.cpus, len(node.gpus))
        self._supervised.does(self._doing)
        take_work = TakeWork(
            self.config.redis_url, queue, self.config.name, tasks.OBEYED, on_stop=self._leave_soon,
            on_turn=self._supervised.loop("messages", MESSAGES_LIMIT).beat,
        )  # fmt: skip
        take_work.run()
        if self.use is not None:
            self.use.stop()  # its last rows of use
        log.info("stopped; containers run on")

    def _register(self) -> None:
        """Register; a node that was removed from the lab waits until its token is accepted."""
        told, pause = False, threading.Event()
        while True:
            try:
                until_it_answers(self.heartbeat.register, "register this node")
            except NotAllowedError as error:
                if not told:
                    log.error("%s; %s", error.what, error.next)  # noqa: TRY400 - no traceback helps
                    self._supervised.does(lambda: "was removed from the lab; takes no jobs")
                told = True
                pause.wait(REFUSED_AGAIN)
            else:
                return

    def start_attempt(self, job_id: str, attempt: int, lease: str) -> None:
        """Begin to work on a lease; returns at once."""
        self.runner.start(job_id, attempt, lease)

    def stop_attempt(self, job_id: str, attempt: int, lease: str) -> None:
        """Look whether the attempt is to stop; returns at once."""
        working = self.context.attempts.get(lease)
        if working is None:
            log.info("job %s attempt %d: to be stopped, but not in work here; looking", job_id, attempt)
            self._look_now.set()
            return
        self.context.timers.after(0.0, lambda: self.runner.stopper.asked(working))

    def prepare_image(self, key: str, job_id: str) -> None:
        """Begin to prepare an image; returns at once."""
        self.images.prepare(key, job_id)

    def reconcile(self, *, sure: bool = False) -> None:
        """Bring containers and leases in line, once."""
        with self._reconciling:
            self._reconciler.run(sure=sure)

    def _doing(self) -> str:
        jobs, gpus = len(self.context.attempts.all()), len(self.heartbeat.node.gpus)
        heard = "" if self.heartbeat.heard is not False else "; Redis does not answer"
        return f"node {self.config.name}: {jobs} jobs in work, {gpus} GPUs{heard}"

    def _keep_reconciling(self) -> None:
        pulse = self._supervised.loop("reconcile", WORK_LIMIT)
        while True:
            pulse.beat()
            self._look_now.wait(RECONCILE)
            self._look_now.clear()
            try:
                self.reconcile()
            except (UnavailableError, EngineError) as error:
                log.debug("reconcile: %s", error)
            except Exception:
                log.exception("reconcile")

    def _keep_sampling(self) -> None:
        pause = threading.Event()
        while not pause.wait(SAMPLE):
            for attempt in self.context.attempts.all():
                if attempt.started and not attempt.ended.is_set():
                    sample_memory(attempt, lambda working=attempt: self._pid(working))  # type: ignore[misc]

    def _keep_measuring(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._disk.pause):
            try:
                self._disk.look()
            except Exception:
                log.exception("disk")

    def _pid(self, attempt: Attempt) -> int:
        try:
            return self.context.engine.inspect(attempt.container).pid
        except EngineError:
            return 0

    def _tidy(self) -> None:
        """What may take its time after the start: leftovers of agents that died, and images that went away."""
        # Images before leftovers: a preparation that goes on writes to the log that a dead agent had begun.
        steps: list[Callable[[], None]] = [
            lambda: self.context.places.remove_leftovers(self._in_work),
            lambda: self.context.carrier.remove_leftovers(self._in_work),
            self.images.verify,
        ]
        if (shipper := self._shipper) is not None:
            steps.append(lambda: shipper.bring_leftovers(self._in_work, self.images.is_written))
        for step in steps:
            try:
                step()
            except Exception:
                log.exception("tidy; the next step follows")

    def _in_work(self) -> set[str]:
        return {attempt.job_id for attempt in self.context.attempts.all()}

    def _leave_soon(self) -> None:
        # Redis or the engine may hang; every state on disk and in Redis is good enough for a kill -9.
        last_moment = threading.Timer(LAST_MOMENT, os._exit, (0,))
        last_moment.daemon = True
        last_moment.start()
        self.heartbeat.stop()
        self._supervised.stopping()


def _gpus(config: AgentConfig, use: GpuUse | None) -> tuple[Gpu, ...]:
    if use is not None:
        if use.watch.error:
            log.warning("no GPU on this node: %s", use.watch.error)
        return tuple(each.gpu for each in use.watch.snapshot())
    return simulated_gpus(config.gpus, config.name) if config.gpus.startswith(PREFIX) else ()


def _node(config: AgentConfig, gpus: tuple[Gpu, ...], info: EngineInfo, driver: str) -> Node:
    facts = {
        "hostname": machine.hostname(),
        "os": machine.operating_system(),
        "engine": f"Docker {info.version}",
        "cgroups": f"v{info.cgroup_version} ({info.cgroup_driver})",
    }
    # Where Prometheus finds the exporters of this machine (labq_scheduler/targets.py); without it, by its name.
    if address := config.address or machine.address_towards(config.server):
        facts["address"] = address
    if driver:
        facts["driver"] = driver
    if any(gpu.simulated for gpu in gpus):
        facts["simulated"] = "its GPUs are made up (--gpus sim:…)"
    simulated = config.gpus.startswith(PREFIX)
    return Node(
        name=config.name,
        cpus=config.cpus or float(info.cpus),
        memory=config.memory or machine.usable_memory(info.memory),
        gpus=gpus,
        labels=config.labels,
        heartbeat=now(),
        version=__version__,
        facts=facts,
        near=simulated_neighbours(config.gpus, config.name) if simulated else Neighbours(),
    )
