"""Injects the faults of machines and servers."""

import heapq
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from chaos.evidence import Silence
from chaos.schedule import Fault, Kind
from chaos.servers import Broker, Database
from chaos.workers import Workers

__all__ = ["FaultInjector"]

TURN = 0.05  # seconds between two looks at the clock and the workers


class FaultInjector:
    """Injects the faults of a schedule into workers and servers.

    `silences` are the times in which a worker could send no heartbeat.
    """

    def __init__(self, workers: Workers, broker: Broker, database: Database, log: Path) -> None:
        self.silences: list[Silence] = []
        self.injected: list[Fault] = []
        self._workers, self._broker, self._database = workers, broker, database
        self._log_path = log
        self._order = count()
        self._begun = 0.0
        # A heap of the faults that last, by the time of their next move.
        self._lasting: list[tuple[float, int, Iterator[float]]] = []
        self._broker_away = self._database_away = False

    def run(
        self,
        schedule: Sequence[Fault],
        seconds: float,
        users: Callable[[Fault], None],
        each_turn: Callable[[float], None],
    ) -> None:
        """Inject all faults; return when the last has ended and `seconds` are over.

        Args:
            users: does the faults that users cause.
            each_turn: called with the seconds since the beginning.
        """
        self._begun = time.monotonic()
        coming = list(reversed(schedule))
        while coming or self._lasting or self._now() < seconds:
            while coming and coming[-1].at <= self._now():
                fault = coming.pop()
                self.injected.append(fault)
                begin = FAULTS.get(fault.kind)
                if begin is None:
                    users(fault)
                    self._log(fault)
                else:
                    self._continue(begin(self, fault))
            while self._lasting and self._lasting[0][0] <= time.monotonic():
                self._continue(heapq.heappop(self._lasting)[2])
            self._workers.restart_ended()
            each_turn(self._now())
            time.sleep(TURN)

    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _continue(self, fault: Iterator[float]) -> None:
        seconds = next(fault, None)
        if seconds is not None:
            heapq.heappush(self._lasting, (time.monotonic() + seconds, next(self._order), fault))

    def _log(self, event: object) -> None:
        with self._log_path.open("a") as log:
            log.write(f"{time.monotonic():.3f} {self._now():7.2f} s  {event}\n")

    def _kill_child(self, fault: Fault) -> Iterator[float]:
        worker = self._workers.pick(fault.dice[0], pool="prefork")
        children = worker.children()
        if children:
            pid = children[int(fault.dice[1] * len(children))]
            self._log(f"{fault.kind}: {pid} of {worker.name} {worker.pid}")
            worker.kill_child(pid)
        yield 0

    def _kill_worker(self, fault: Fault) -> Iterator[float]:
        worker = self._workers.pick(fault.dice[0])
        self._log(f"{fault.kind}: {worker.name} {worker.pid}")
        worker.send(signal.SIGKILL)
        yield 0

    def _kill_all(self, fault: Fault) -> Iterator[float]:
        self._log(fault.kind)
        self._workers.kill()
        yield 0

    def _stop(self, fault: Fault) -> Iterator[float]:
        worker = self._workers.pick(fault.dice[0])
        pid, begun = worker.pid, time.monotonic()
        self._log(f"{fault.kind}: {worker.name} {pid}, for {fault.seconds:.1f} s")
        worker.send_all(signal.SIGSTOP)
        yield fault.seconds
        if worker.pid == pid:  # it has not been replaced meanwhile
            worker.send_all(signal.SIGCONT)
        self._log(f"{worker.name} {pid} goes on")
        self.silences.append(Silence(worker=pid, begun=begun, ended=time.monotonic()))

    def _deploy(self, fault: Fault) -> Iterator[float]:
        worker = self._workers.pick(fault.dice[0])
        self._log(f"{fault.kind}: {worker.name} {worker.pid}")
        worker.send(signal.SIGTERM)
        yield 0

    def _kill_broker(self, fault: Fault) -> Iterator[float]:
        while self._broker_away:
            yield TURN
        self._broker_away = True
        self._log(fault)
        self._broker.kill()
        yield fault.seconds
        self._broker.start()
        self._broker_away = False
        self._log("the broker is back")

    def _empty_broker(self, fault: Fault) -> Iterator[float]:
        while self._broker_away:
            yield TURN
        self._log(fault)
        self._broker.empty()

    def _cut_broker(self, fault: Fault) -> Iterator[float]:
        while self._broker_away:
            yield TURN
        self._log(fault)
        self._broker.cut()

    def _take_database(self, fault: Fault) -> Iterator[float]:
        while self._database_away:
            yield TURN
        self._database_away, begun = True, time.monotonic()
        self._log(fault)
        yield from self._database.away(fault.seconds)
        self._database_away = False
        self._log("the database is back")
        self.silences.append(Silence(worker=None, begun=begun, ended=time.monotonic()))


FAULTS: dict[Kind, Callable[[FaultInjector, Fault], Iterator[float]]] = {
    Kind.KILL_CHILD: FaultInjector._kill_child,
    Kind.KILL_WORKER: FaultInjector._kill_worker,
    Kind.KILL_ALL: FaultInjector._kill_all,
    Kind.STOP: FaultInjector._stop,
    Kind.DEPLOY: FaultInjector._deploy,
    Kind.BROKER_KILLED: FaultInjector._kill_broker,
    Kind.BROKER_EMPTIED: FaultInjector._empty_broker,
    Kind.BROKER_CUT: FaultInjector._cut_broker,
    Kind.DATABASE: FaultInjector._take_database,
}
