"""A PostgreSQL and a Redis of this clone's own, on private Unix sockets: nothing to install, nothing shared.

    with embedded.postgres(Path(".run")) as database, embedded.redis(Path(".run")) as messages:
        environment = {"DATABASE_URL": database.url, "CELERY_BROKER_URL": messages.broker_url}

What both promise: data outlives the block, and the server does not, even when the block is left by an
exception, Ctrl-C, SIGTERM or SIGHUP (and when this process is killed outright, the kernel stops the servers,
or the next start does); no TCP port; no other server is touched and no existing folder's mode changed; a
second user of the same folder gets an error that says who has it. Errors are `UnavailableError`, with the
server's last words. For Linux.
"""

from dev.embedded_postgres import Postgres, postgres
from dev.embedded_redis import Redis, redis

__all__ = ["Postgres", "Redis", "postgres", "redis"]
