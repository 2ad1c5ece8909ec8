"""Linear algebra on one thread: a report's matrices are small, and threads that wait for such work burn a processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """While it lasts NumPy's products take one thread, so that no digit depends on the number of cores either.

    Also a decorator: ``@one_thread()``.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield
