"""What can't work is refused before anything is touched, with words that say what and where."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
GROUPS = ["redis", "postgresql", "workers", "schedulers", "monitoring"]
DEBIAN = {"distribution": "Debian", "distribution_major_version": "13", "service_mgr": "systemd"}
PASSWORD = "for-this-test-alone"  # noqa: S105
GOOD = {
    "facts": DEBIAN,
    "app_settings": {
        "CELERY_BROKER_URL": "redis://127.0.0.1/0",
        "CELERY_RESULT_BACKEND": "redis://127.0.0.1/1",
        "DATABASE_URL": "postgresql://value_partner@/value_partner?host=/run/postgresql",
    },
    "celery_flower_basic_auth": f"viewer:{PASSWORD}",
    "celery_flower_broker_url": "redis://127.0.0.1/0",
    "celery_flower_result_backend": "redis://127.0.0.1/1",
    **{f"redis_{user}_password": PASSWORD for user in ("admin", "app", "flower", "monitoring")},
    **{f"postgresql_{user}_password": PASSWORD for user in ("owner", "app")},
}
PREFLIGHT = [
    {
        "name": "Check",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Check each role",
                "ansible.builtin.include_role": {"name": "{{ item }}", "tasks_from": "preflight"},
                "loop": "{{ value_partner_roles }}",
            }
        ],
    }
]

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "ubuntu": ({"facts": DEBIAN | {"distribution": "Ubuntu"}}, "ubuntu is Ubuntu 13 run by systemd; this works on"),
    "old": ({"facts": DEBIAN | {"distribution_major_version": "11"}}, "old is Debian 11 run by systemd; this works on"),
    "no-systemd": ({"facts": DEBIAN | {"service_mgr": "sysvinit"}}, "no-systemd is Debian 13 run by sysvinit; this"),
    "redis-example": ({"redis_app_password": "change-me-redis-app"}, "redis_app_password must be 16 characters"),
    "redis-short": ({"redis_admin_password": "short"}, "redis_admin_password must be 16 characters"),
    "redis-tls": ({"redis_tls": True}, "redis_tls needs redis_tls_cert_file"),
    "redis-tls-lost": (
        {"redis_tls": True} | {f"redis_tls_{name}_file": "/nowhere/at.all" for name in ("cert", "key", "ca")},
        "/nowhere/at.all",
    ),
    "redis-unreachable": ({"redis_port": 0}, "there would be no port at all"),
    "database-example": ({"postgresql_app_password": "change-me-postgresql"}, "postgresql_app_password must be 16"),
    "database-tls": ({"postgresql_tls": True}, "postgresql_tls needs postgresql_tls_cert_file"),
    "database-open": ({"postgresql_allowed_networks": ["10.0.0.0/8"]}, "need postgresql_tls"),
    "database-one-role": ({"postgresql_app_role": "postgres"}, "must be two roles"),
    "app-no-broker": ({"app_settings": {}}, "app_settings needs CELERY_BROKER_URL"),
    "app-example": (
        {"app_settings": GOOD["app_settings"] | {"EMAIL_HOST_PASSWORD": "change-me"}},
        "A value of app_settings has a password that is the example's",
    ),
    "app-no-role": ({"app_migration_database_url": "postgresql://owner@/value_partner"}, "needs app_database_role"),
    "pools": ({"celery_worker_pools": [{"name": "Two Words"}]}, "celery_worker_pools: names must differ"),
    "flower-open": ({"celery_flower_basic_auth": ""}, "celery_flower_basic_auth must be name:password"),
    "flower-example": ({"celery_flower_basic_auth": "viewer:change-me-flower"}, "celery_flower_basic_auth must be"),
    "doctor-mute": ({"celery_doctor": True}, "celery_doctor needs EMAIL_HOST"),
    "flower-lost": ({"celery_flower_broker_url": ""}, "celery_flower needs celery_flower_broker_url"),
}


def members(group: str, hosts: Iterable[str]) -> list[str]:
    """All of them; but this machine may have a PostgreSQL of its own, of which that role asks."""
    return [name for name in hosts if group != "postgresql" or name.startswith("database")]


def play(playbook: Path, hosts: dict[str, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Run it in check mode, on hosts that are this machine; what it does not ask them, `facts` says."""
    mine = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {
        "all": {
            "hosts": {name: GOOD | mine | variables for name, variables in hosts.items()},
            "children": {group: {"hosts": {name: {} for name in members(group, hosts)}} for group in GROUPS},
        }
    }
    (folder / "hosts.json").write_text(json.dumps(inventory))
    asks = playbook.name == "site.yml"
    more = {"ansible_become": False} | ({} if asks else {"ansible_facts": "{{ facts }}"})
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    command = [sys.executable, "-m", "ansible", "playbook", "--check", "-i", str(folder / "hosts.json")]
    told = subprocess.run(
        [*command, "-e", json.dumps(more), str(playbook)],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "{" in told.stdout, told.stderr
    return json.loads(told.stdout[told.stdout.index("{") :])


def messages(told: dict[str, Any]) -> dict[str, str]:
    """What each host said that failed."""
    found = {}
    for task in (task for play in told["plays"] for task in play["tasks"]):
        for name, said in task["hosts"].items():
            failed = [each["msg"] for each in said.get("results", [said]) if each.get("failed")]
            if failed and name not in found:
                found[name] = failed[0]
    return found


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("refusals")
    (folder / "group_vars").symlink_to(REPOSITORY / "playbooks" / "group_vars")
    playbook = folder / "preflight.json"
    playbook.write_text(json.dumps(PREFLIGHT))
    return messages(play(playbook, {"good": {}} | {name: changed for name, (changed, _) in BAD.items()}, folder))


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_is_refused(refused: dict[str, str], name: str) -> None:
    assert BAD[name][1] in refused[name]
    assert refused[name].endswith("Nothing was changed.")
    assert PASSWORD not in refused[name]


def test_what_can_work_is_not_refused(refused: dict[str, str]) -> None:
    assert set(refused) == set(BAD)


def test_when_one_host_is_refused_none_is_touched(tmp_path: Path) -> None:
    told = play(REPOSITORY / "playbooks" / "site.yml", {"good": {}, "bad": BAD["app-no-broker"][0]}, tmp_path)
    assert [play["play"]["name"] for play in told["plays"]] == ["Refuse what can't work, before anything is touched"]
    assert messages(told)["bad"].endswith("Nothing was changed.")
    assert {name: host["changed"] for name, host in told["stats"].items()} == {"good": 0, "bad": 0}
