"""The faults of machines and servers: each begins, and may last."""

import heapq
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from chaos.crew import Crew
from chaos.schedule import Fault, Kind
from chaos.servers import Broker, Database
from chaos.verdict import Silence

__all__ = ["Weather"]

TURN = 0.05  # seconds between two looks at the clock and the crew


class Weather:
    """Does to a crew and its servers what a schedule says.

    `silences` are the times in which a worker's heart could not beat.
    """

    def __init__(self, crew: Crew, broker: Broker, database: Database, log: Path) -> None:
        self.silences: list[Silence] = []
        self.struck: list[Fault] = []
        self._crew, self._broker, self._database = crew, broker, database
        self._log = log
        self._order = count()
        self._begun = 0.0
        # What goes on, by when its next moment comes.
        self._going: list[tuple[float, int, Iterator[float]]] = []
        self._broker_away = self._database_away = False

    def rage(
        self,
        schedule: Sequence[Fault],
        seconds: float,
        people: Callable[[Fault], None],
        each_turn: Callable[[float], None],
    ) -> None:
        """Let it all happen, and what lasts come to its end.

        Args:
            people: does the faults that are people's.
            each_turn: is told the seconds since the beginning.
        """
        self._begun = time.monotonic()
        coming = list(reversed(schedule))
        while coming or self._going or self._now() < seconds:
            while coming and coming[-1].at <= self._now():
                fault = coming.pop()
                self.struck.append(fault)
                strike = STRIKES.get(fault.kind)
                if strike is None:
                    people(fault)
                    self._tell(fault)
                else:
                    self._go_on(strike(self, fault))
            while self._going and self._going[0][0] <= time.monotonic():
                self._go_on(heapq.heappop(self._going)[2])
            self._crew.mend()
            each_turn(self._now())
            time.sleep(TURN)

    def _now(self) -> float:
        return time.monotonic() - self._begun

    def _go_on(self, fault: Iterator[float]) -> None:
        seconds = next(fault, None)
        if seconds is not None:
            heapq.heappush(self._going, (time.monotonic() + seconds, next(self._order), fault))

    def _tell(self, what: object) -> None:
        with self._log.open("a") as log:
            log.write(f"{time.monotonic():.3f} {self._now():7.2f} s  {what}\n")

    def _kill_child(self, fault: Fault) -> Iterator[float]:
        worker = self._crew.pick(fault.dice[0], pool="prefork")
        children = worker.children()
        if children:
            pid = children[int(fault.dice[1] * len(children))]
            self._tell(f"{fault.kind}: {pid} of {worker.name} {worker.pid}")
            worker.kill_child(pid)
        yield 0

    def _kill_worker(self, fault: Fault) -> Iterator[float]:
        worker = self._crew.pick(fault.dice[0])
        self._tell(f"{fault.kind}: {worker.name} {worker.pid}")
        worker.send(signal.SIGKILL)
        yield 0

    def _kill_all(self, fault: Fault) -> Iterator[float]:
        self._tell(fault.kind)
        self._crew.kill()
        yield 0

    def _stop(self, fault: Fault) -> Iterator[float]:
        worker = self._crew.pick(fault.dice[0])
        pid, begun = worker.pid, time.monotonic()
        self._tell(f"{fault.kind}: {worker.name} {pid}, for {fault.seconds:.1f} s")
        worker.send_all(signal.SIGSTOP)
        yield fault.seconds
        if worker.pid == pid:  # and not, by now, the one that followed it
            worker.send_all(signal.SIGCONT)
        self._tell(f"{worker.name} {pid} goes on")
        self.silences.append(Silence(worker=pid, begun=begun, ended=time.monotonic()))

    def _deploy(self, fault: Fault) -> Iterator[float]:
        worker = self._crew.pick(fault.dice[0])
        self._tell(f"{fault.kind}: {worker.name} {worker.pid}")
        worker.send(signal.SIGTERM)
        yield 0

    def _kill_broker(self, fault: Fault) -> Iterator[float]:
        while self._broker_away:
            yield TURN
        self._broker_away = True
        self._tell(fault)
        self._broker.kill()
        yield fault.seconds
        self._broker.start()
        self._broker_away = False
        self._tell("the broker is back")

    def _empty_broker(self, fault: Fault) -> Iterator[float]:
        while self._broker_away:
            yield TURN
        self._tell(fault)
        self._broker.empty()

    def _cut_broker(self, fault: Fault) -> Iterator[float]:
        while self._broker_away:
            yield TURN
        self._tell(fault)
        self._broker.cut()

    def _take_database(self, fault: Fault) -> Iterator[float]:
        while self._database_away:
            yield TURN
        self._database_away, begun = True, time.monotonic()
        self._tell(fault)
        yield from self._database.away(fault.seconds)
        self._database_away = False
        self._tell("the database is back")
        self.silences.append(Silence(worker=None, begun=begun, ended=time.monotonic()))


STRIKES: dict[Kind, Callable[[Weather, Fault], Iterator[float]]] = {
    Kind.KILL_CHILD: Weather._kill_child,
    Kind.KILL_WORKER: Weather._kill_worker,
    Kind.KILL_ALL: Weather._kill_all,
    Kind.STOP: Weather._stop,
    Kind.DEPLOY: Weather._deploy,
    Kind.BROKER_KILLED: Weather._kill_broker,
    Kind.BROKER_EMPTIED: Weather._empty_broker,
    Kind.BROKER_CUT: Weather._cut_broker,
    Kind.DATABASE: Weather._take_database,
}
