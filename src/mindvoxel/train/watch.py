"""Signs of life: a run that is told to end (SIGTERM) does so after its step, and one that hangs ends itself.

A signal and a hang belong to the process, so there is one WATCH, which is idle outside of a run.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from mindvoxel.errors import Terminated

STATUS_OF_A_HANG = 1
# A rank in a step may wait for one that hangs elsewhere; that one is to speak first.
PATIENCE_IN_STEPS_S = 5.0


class Watch:
    """What this process does, and since when.

    told: SIGTERM has come. Before and after training it ends the process at once; in training, the trainer looks after
    each step, and the segmentation of a scan ends at its next window.
    """

    def __init__(self):
        self.told, self._trains = False, False
        self._what, self._since = "", 0.0
        self._over, self._handler = threading.Event(), None

    def start(self, limit_s: float, name: str) -> None:
        """Mind SIGTERM, and end the process where nothing happens for `limit_s` seconds; 0: never. `name` tells this
        process from others."""
        self.told, self._trains = False, False
        self._handler = signal.signal(signal.SIGTERM, self._tell)
        self._over = threading.Event()
        self.rest()
        if limit_s > 0:
            threading.Thread(target=self._mind, args=(self._over, limit_s, name), daemon=True).start()

    def stop(self) -> None:
        """Leave the process as it was."""
        self._over.set()
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
        self._handler = None

    def sign(self, what: str, patience_s: float = 0.0) -> None:
        """This process lives, and now does `what`, which may take `patience_s` seconds more than other things."""
        self._what, self._since = what, time.monotonic() + patience_s

    def rest(self) -> None:
        """What comes now may take any time: compiling, or the work of other ranks."""
        self._since = float("inf")

    def watched(self, call: Callable, what: str, patience_s: float = 0.0) -> Callable:
        """`call`, before and after which this process lives; its first time, in which it compiles, may take long."""
        compiled = False

        def watch(*args):
            nonlocal compiled
            if compiled:
                self.sign(what, patience_s)
            else:
                self.rest()
            result = call(*args)
            compiled = True
            self.sign(f"what follows {what}")
            return result

        return watch

    def training(self, begins: bool) -> None:
        """From here on SIGTERM waits for the end of a step, and a first batch that does not come is a hang; or SIGTERM
        waits no longer."""
        self._trains = begins
        if begins:
            self.sign("what precedes the first step")

    def leave_if_told(self) -> None:
        """Raise Terminated where SIGTERM has come."""
        if self.told:
            raise Terminated("told to end (SIGTERM); the last checkpoint is kept, go on with --resume")

    def _tell(self, *_) -> None:
        self.told = True
        if not self._trains:
            self.leave_if_told()

    def _mind(self, over: threading.Event, limit_s: float, name: str) -> None:
        while not over.wait(min(1.0, limit_s / 10)):
            silent = time.monotonic() - self._since
            if silent > limit_s and not over.is_set():
                line = (
                    f"error: {name} hangs: {self._what} has lasted {silent:.0f} s, and --watchdog_s is "
                    f"{limit_s:g}; the stacks above say where; go on with --resume, or give more seconds"
                )
                faulthandler.dump_traceback(sys.__stderr__, all_threads=True)
                sys.__stderr__.write(line + "\n")
                sys.__stderr__.flush()
                os._exit(STATUS_OF_A_HANG)


WATCH = Watch()
