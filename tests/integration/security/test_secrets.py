"""Passwords, tokens, and customers' names and addresses: where they must not come, whatever fails."""

import base64
import json
import re
import secrets
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import redis
from sqlalchemy import make_url, text

from app.database import get_engine, session_scope
from app.settings import get_settings
from dev import embedded
from tests import api_server
from tests import factories as make
from tests.api_server import Reply
from tests.integration.cli.commands import run
from tests.integration.statements.test_inbox import statement
from tests.mail_server import running_mail_server
from tests.processes import Program, start, start_beat, start_worker
from tests.waiting import wait_until

APP = "tests.apps.secretive"
FLOWER_USER = "operator"


@pytest.fixture
def planted():
    """What must be found nowhere, by what it is; new ones each time."""
    custodians = ["plaid", "plaid_token", "alpaca_key", "alpaca_secret"]
    providers = ["alpha_vantage", "alpaca_data_key", "alpaca_data_secret", "openfigi"]
    channels = ["webhook_path", "webhook_signing", "channel_path"]
    kinds = ["database", "redis", "mail", "flower", *custodians, *providers, *channels]
    return {
        **{kind: f"{kind}-{secrets.token_hex(8)}" for kind in kinds},
        "name": f"Adele Quested{secrets.token_hex(4)}",
        "address": f"adele{secrets.token_hex(4)}@customer.example",
    }


@pytest.fixture
def password_redis(planted, tmp_path):
    """A Redis of this test's own that wants a password."""
    folder = tmp_path / "redis-server"
    folder.mkdir()
    with embedded.redis(folder) as server, redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", planted["redis"])
        yield server


@pytest.fixture
def quoting_provider():
    """A provider that refuses all questions, and quotes the keys that it is asked with."""
    with api_server.provider() as server:

        def answer(question):
            told = " ".join(text for name, text in {**question.headers, **question.query}.items() if "key" in name)
            if question.path == "/query":
                return Reply(json.dumps({"Information": f"the API key in {told} has no premium plan"}))
            return Reply(json.dumps({"message": told}), status=400)

        server.answer = answer
        yield server


@pytest.fixture
def quoting_service(planted):
    """What channels go to; it takes nothing, and quotes where it was asked and what a receiver knows."""
    with api_server.provider() as server:
        server.answer = lambda question: Reply(f"no {question.path} {planted['webhook_signing']}", status=410)
        yield server


@pytest.fixture
def settings(database, password_redis, planted, quoting_provider, quoting_service, tmp_path, monkeypatch):
    """Settings with all the secrets, for this process and those that it starts."""
    inbox, logs = tmp_path / "inbox", tmp_path / "logs"
    inbox.mkdir()
    url = make_url(database).set(password=planted["database"])
    socket = f"redis+socket://:{planted['redis']}@{password_redis.socket}"
    with running_mail_server() as mail:
        mail.answers["RCPT"] = f"550 5.1.1 <{planted['address']}>: nobody of this name here"
        values = {
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "CELERY_BROKER_URL": f"{socket}?virtual_host=0",
            "CELERY_RESULT_BACKEND": f"{socket}?virtual_host=1",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(mail.port),
            "EMAIL_USE_TLS": "false",
            "EMAIL_HOST_PASSWORD": planted["mail"],
            "ADMIN_EMAIL": "admin@example.com",
            "SERVER_EMAIL": "engine@example.com",
            "NOTIFICATION_CHANNELS": f"desk={quoting_service.url}/{planted['webhook_path']}"
            f" ops=json://{quoting_service.url.removeprefix('http://')}/{planted['channel_path']}",
            "WEBHOOK_SECRET": planted["webhook_signing"],
            "PLAID_BASE_URL": "http://127.0.0.1:1",
            "PLAID_CLIENT_ID": "client",
            "PLAID_SECRET": planted["plaid"],
            "PLAID_ACCESS_TOKENS": f"bank:{planted['plaid_token']}",
            "ALPACA_BASE_URL": "http://127.0.0.1:1",
            "ALPACA_KEYS": f"fund:{planted['alpaca_key']}:{planted['alpaca_secret']}",
            "PRICE_PROVIDERS": "alpha-vantage,alpaca",
            "ALPHA_VANTAGE_URL": quoting_provider.url,
            "ALPHA_VANTAGE_KEY": planted["alpha_vantage"],
            "ALPHA_VANTAGE_PER_DAY": "0",
            "ALPACA_DATA_URL": quoting_provider.url,
            "ALPACA_DATA_KEY": f"{planted['alpaca_data_key']}:{planted['alpaca_data_secret']}",
            "OPENFIGI_URL": quoting_provider.url,
            "OPENFIGI_KEY": planted["openfigi"],
            "ECB_URL": "off",
            "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{planted['flower']}",
            "STATEMENTS_DIR": str(inbox),
            "LOG_DIR": str(logs),
            "JOBS_MAX_ATTEMPTS": "1",
            "PLANTED_NAME": planted["name"],
            "PLANTED_ADDRESS": planted["address"],
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        forget_settings()
        yield
        get_engine().dispose()
    monkeypatch.undo()
    forget_settings()


def forget_settings():
    get_settings.cache_clear()
    get_engine.cache_clear()


def plant_in_book_and_inbox(planted, inbox: Path):
    who = f"{planted['name']} <{planted['address']}>"
    with session_scope() as session:
        owner = make.user(session, planted["address"])
        account = make.account(session, "A-1", user_id=owner, name=who)
        security = make.security(session, "S-1", tracked=True)
        make.identifier(session, security, "S", scheme="SYMBOL", namespace="XNYS")
        make.book(session, account, as_of=make.DAY, cash={"USD": "1"})
        make.statement(session, make.custodian_account(session, account), as_of=make.DAY, cash={"USD": "2"})
        # Nothing can be compared where nothing can be written.
        body = f"BEGIN RAISE 'no luck for {who}'; END"
        session.execute(text(f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"))
        session.execute(text("CREATE TRIGGER fail BEFORE INSERT ON breaks EXECUTE FUNCTION fail()"))
    bad = re.sub(rb"<UNITS>[^<\s]*", f"<UNITS>{planted['name']}".encode(), statement())
    assert planted["name"].encode() in bad
    (inbox / "bad.ofx").write_bytes(bad)


def unfinished():
    with session_scope() as session:
        return make.rows(session, "SELECT task, publishes, last_error FROM jobs WHERE state = 'waiting'")


def everything_in(server, password: str) -> str:
    """All keys of both databases with their values, and what is base64 in them."""
    found = []
    for number in (0, 1):
        with redis.Redis(unix_socket_path=str(server.socket), db=number, password=password) as client:
            for key in client.scan_iter():
                match client.type(key):
                    case b"string":
                        value = client.get(key)
                    case b"list":
                        value = client.lrange(key, 0, -1)
                    case b"hash":
                        value = client.hgetall(key)
                    case b"set":
                        value = client.smembers(key)
                    case _:
                        value = client.zrange(key, 0, -1)
                found.append(f"{key!r}: {value!r}")
    stored = "\n".join(found)
    decoded = [base64.b64decode(part[: len(part) // 4 * 4]) for part in re.findall(r"[A-Za-z0-9+/]{16,}", stored)]
    return stored + "\n" + "\n".join(map(repr, decoded))


def flower_pages(port: int, password: str) -> dict[str, str]:
    """What Flower answers to whoever has its password."""
    login = base64.b64encode(f"{FLOWER_USER}:{password}".encode()).decode()

    def get(path: str) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Basic {login}"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()}"

    first = get("/api/workers?refresh=true")
    worker = re.findall(r'"(clerk@[^"]+)"', first)[0]
    tasks = wait_until(lambda: found if len(found := get("/api/tasks?limit=1000")) > 1000 else "")
    paths = ["/", "/workers", f"/worker/{worker}", "/tasks", "/broker", "/metrics", "/api/queues/length"]
    for task_id in set(re.findall(r'"uuid": "([^"]+)"', tasks)):
        paths += [f"/task/{task_id}", f"/api/task/info/{task_id}", f"/api/task/result/{task_id}"]
    return {"/api/workers": first, "/api/tasks": tasks, **{path: get(path) for path in paths}}


def command_lines(programs: list[Program]) -> str:
    processes = [psutil.Process(program.pid) for program in programs]
    return "\n".join(
        " ".join(each.cmdline()) for process in processes for each in (process, *process.children(recursive=True))
    )


def test_secrets_and_customers_come_into_no_log_result_page_or_command_line(
    settings, planted, password_redis, quoting_provider, quoting_service, tmp_path
):
    plant_in_book_and_inbox(planted, tmp_path / "inbox")
    places = {}
    with ExitStack() as running:
        worker = running.enter_context(start_worker(tmp_path, name="clerk", app=APP))
        beat = running.enter_context(start_beat(tmp_path, app=APP))
        arguments = ["-m", "celery", "-A", APP, "flower", "--port=0"]
        flower = running.enter_context(start(arguments, tmp_path / "flower.log"))
        flower.wait_for("Visit me at")
        ((_, port),) = [
            one.laddr for one in psutil.Process(flower.pid).net_connections("inet") if one.status == psutil.CONN_LISTEN
        ]
        wait_until(lambda: "clerk@" in flower_pages_ready(port, planted["flower"]))
        asking = running.enter_context(start(["-c", f"from {APP} import ask; ask()"], tmp_path / "asking.log"))
        assert asking.process.wait(timeout=120) == 0
        wait_until(lambda: not unfinished() and "fail_in_sql" in worker.said())
        places |= flower_pages(port, planted["flower"])
        places["command lines"] = command_lines([worker, beat, flower])
        places["redis"] = everything_in(password_redis, planted["redis"])
        for name, more in {"doctor": {}, "doctor that logs in": {"EMAIL_HOST_USER": "engine"}}.items():
            done = run("doctor", **more)
            places[name] = done.stdout + done.stderr
        for command in (
            ["prices", "coverage"],
            ["securities", "figi"],
            ["notifications", "channels"],
            ["notifications", "test", "desk"],
            ["notifications", "test", "ops"],
        ):
            done = run(*command)
            places[" ".join(command)] = done.stdout + done.stderr
    places |= {path.name: path.read_text(errors="replace") for path in tmp_path.glob("*.log")}
    places |= {str(path): path.read_text(errors="replace") for path in tmp_path.glob("logs/*")}

    leaks = [(kind, place) for kind, secret in planted.items() for place, said in places.items() if secret in said]
    assert leaks == []

    # What was planted did get there, and what is told instead helps to find it.
    with session_scope() as session:
        errors = dict(make.rows(session, "SELECT key, last_error FROM jobs WHERE state IN ('parked', 'refused')"))
        reasons = [each for (each,) in make.rows(session, "SELECT error FROM statement_files WHERE state = 'refused'")]
        ((coverage,),) = make.rows(session, "SELECT coverage::text FROM price_syncs")
    for key in ("job-tests.apps.secretive.fail", "job-tests.apps.secretive.fail_as_job"):
        assert planted["name"] in errors[key]
    assert planted["address"] in errors["mail"]
    assert any(planted["name"] in reason for reason in reasons)
    asked = "\n".join(f"{question.headers} {question.query}" for question in quoting_provider.asked)
    for kind in ("alpha_vantage", "alpaca_data_key", "alpaca_data_secret", "openfigi"):
        assert planted[kind] in asked
    for told in (coverage, places["securities figi"]):
        assert "***" in told
    for channel in ("desk", "ops"):
        assert f"channel {channel}: " in errors[f"channel:{channel}"]
        assert f"channel {channel}: " in places["clerk.log"]
    for kind in ("webhook_path", "webhook_signing", "channel_path"):
        assert planted[kind] not in "".join(errors.values())
    assert {question.path for question in quoting_service.asked} == {
        f"/{planted['webhook_path']}",
        f"/{planted['channel_path']}",
    }
    assert "UnexpectedError" in places["/api/tasks"]
    assert "its text is with job" in places["clerk.log"]
    assert "in fail_as_job" in places["clerk.log"]
    assert "refused: bad.ofx: why is in" in places["clerk.log"]


def flower_pages_ready(port: int, password: str) -> str:
    login = base64.b64encode(f"{FLOWER_USER}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/workers?refresh=true", headers={"Authorization": f"Basic {login}"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        return str(answer.read().decode())
