"""The driver's connection, from which a query that something breaks into is not left behind running."""

import math
import select
import time
from typing import Any

import psycopg
from psycopg import generators
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

#: For the server to end a query that it was asked to.
_PATIENCE_S = 5
#: Less than a server takes to give a client up that is silent.
_FRESH_S = 1


class Connection(psycopg.Connection[Any]):
    """psycopg's, but that any exception of a signal's handler ends the query that it breaks into.

    psycopg does so for SystemExit and KeyboardInterrupt. A soft time limit is an ordinary exception: the query would
    run on and hold its locks, the rollback fail on the busy connection, and its error take the place of the limit's.
    """

    _is_given_up = False
    _answered_at = -math.inf

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Wait for the server as psycopg does; end the query if this ends before it."""
        try:
            result = super().wait(gen, *args, **kwargs)
            self._answered_at = time.monotonic()
            return result
        except BaseException:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self._end_query(gen)
            raise

    def _end_query(self, gen: PQGen[Any]) -> None:
        try:
            self.cancel_safe(timeout=_PATIENCE_S)
            super().wait(gen, timeout=_PATIENCE_S)
        except Exception:  # noqa: S110 (that it was cancelled, or else what the next lines look at)
            pass
        finally:
            # A COPY, or a server that does not listen: nobody will read the answer, so it ends with the connection.
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self._is_given_up = True
                self.pgconn.finish()

    def check_transaction(self) -> None:
        """Make sure that a transaction that was begun goes on.

        A server that ends one says so at once. Where nothing has come since an answer that is not a second old, that
        one is good; else the server is asked, by an empty query: nothing costs less.

        Raises:
            psycopg.OperationalError: it does not go on.
        """
        with self.lock:
            if time.monotonic() - self._answered_at > _FRESH_S or self._has_news():
                self.pgconn.send_query(b"")
                self.wait(generators.execute(self.pgconn))
        if self.pgconn.transaction_status not in (TransactionStatus.INTRANS, TransactionStatus.IDLE):
            raise psycopg.OperationalError("the transaction is over")

    def _has_news(self) -> bool:
        """Whether the server has sent something that nobody asked for, or hung up."""
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))

    def rollback(self) -> None:
        """Roll back as psycopg does; where the connection was given up, the server has done so."""
        if not self._is_given_up:
            super().rollback()
