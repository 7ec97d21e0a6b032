"""What a process of a pool owes the one that started it."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import parent_process


def heed_parent() -> None:
    """Let signals to the whole group reach the parent alone, which ends the pool; end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Wait for the parent to end and end too: a worker of a parent that was killed would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
