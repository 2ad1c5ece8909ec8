"""Sets the environment of a command that runs Keras, before Keras is imported."""

from __future__ import annotations

import os


def set_up(threads: int) -> None:
    """Threads, determinism, and nothing from outside that would change a training unseen (``lungseg.settings``)."""
    from lungseg import runtime, settings

    for name in settings.FOREIGN:
        os.environ.pop(name, None)
    # the backend's own messages say nothing of the training
    os.environ.update({**runtime.environment(threads), "TF_CPP_MIN_LOG_LEVEL": "3"})
