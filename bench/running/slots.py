"""Several places to work at once, each of which runs one child process at a time; the first error ends them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.running.child import Child


class Interrupted(Exception):
    """The user asked to stop; what is finished is stored and the same command goes on from there."""


class Stopped(Exception):
    """Raised by work that finds the slots stopping: what is under way is left to the next command."""


@dataclass
class Slots:
    """children: the process that each slot runs or ran last. stopping: set once nothing more may be started."""

    children: dict[int, Child] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, work: Callable[[int], None], count: int) -> None:
        """Do ``work(slot)`` in ``count`` threads and return when all have.

        The first error of one, raised here again, ends the others and their children, and so does Ctrl-C, which is
        raised as Interrupted.
        """
        troubles: list[Exception] = []
        running = set(range(count))

        def guarded(slot: int) -> None:
            try:
                work(slot)
            except Stopped:
                pass
            except Exception as error:  # a full disk, say: raised again in the main thread
                troubles.append(error)
                self.stopping.set()
            finally:
                running.discard(slot)

        threads = [threading.Thread(target=guarded, args=(slot,), daemon=True) for slot in range(count)]
        try:
            for thread in threads:
                thread.start()
            while running and not troubles:
                time.sleep(0.1)
        except KeyboardInterrupt as error:
            raise Interrupted from error
        finally:
            if running:  # an error or Ctrl-C: the others are at work
                self.stopping.set()
                for child in list(self.children.values()):
                    child.stop()
            for thread in threads:
                thread.join(timeout=5)
        if troubles:
            raise troubles[0]
