"""The inventories: what Ansible finds in them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INVENTORIES = Path(__file__).parents[2] / "inventories"


def ansible(*arguments: str, folder: Path) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(folder), "ANSIBLE_NOCOLOR": "1"}
    environment.pop("ANSIBLE_CONFIG", None)
    command = [sys.executable, "-m", "ansible", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


@pytest.mark.parametrize("name", ["lab", "local"])
def test_a_made_password_is_not_taken_for_a_host(name: str, tmp_path: Path) -> None:
    inventory = tmp_path / name
    shutil.copytree(INVENTORIES / name, inventory, ignore=shutil.ignore_patterns(".secrets"))

    def hosts() -> list[str]:
        return ansible("adhoc", "-i", str(inventory), "all", "--list-hosts", folder=tmp_path).split()

    before = hosts()
    ansible("adhoc", "-i", str(inventory), "all", "-m", "debug", "-a", "var=redis_app_password", folder=tmp_path)
    made = [path.read_text().strip() for path in inventory.rglob("redis_app")]
    assert len(made) == 1
    assert hosts() == before


@pytest.mark.parametrize("name", ["staging", "production"])
def test_each_secret_of_an_example_is_one_that_is_refused(name: str, tmp_path: Path) -> None:
    listed = json.loads(ansible("inventory", "-i", str(INVENTORIES / name), "--list", folder=tmp_path))
    for variables in listed["_meta"]["hostvars"].values():
        secrets = {key: value for key, value in variables.items() if key.endswith(("_password", "_basic_auth"))}
        assert len(secrets) == 7
        assert all(value.removeprefix("viewer:").startswith("change-me") for value in secrets.values())


def test_what_an_inventory_says_of_a_role_counts_beside_the_playbooks(tmp_path: Path) -> None:
    playbooks = INVENTORIES.parent / "playbooks"
    pools = [{"name": "reports", "queues": ["reports"]}]
    inventory = tmp_path / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "hosts.json").write_text(json.dumps({"workers": {"hosts": {"one": {}}}}))
    (inventory / "group_vars/all.json").write_text(json.dumps({"celery_worker_pools": pools, "celery_beat": False}))
    options = ["-i", str(inventory), "--playbook-dir", str(playbooks), "--host", "one"]
    variables = json.loads(ansible("inventory", *options, folder=tmp_path))
    assert variables["celery_worker_pools"] == pools
    assert variables["celery_beat"] is False
    roles = tuple(f"{role.name}_" for role in (INVENTORIES.parent / "roles").iterdir())
    by_playbooks = json.loads(ansible("inventory", "-i", "one,", *options[2:], folder=tmp_path))
    assert [name for name in by_playbooks if name.startswith(roles)] == []


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("app:secret@/value_partner?host=/run/postgresql", True),
        ("app:secret@%2Frun%2Fpostgresql/value_partner", True),
        ("app:secret@127.0.0.1:5432/value_partner", True),
        ("app:secret@localhost/value_partner?connect_timeout=5", True),
        ("app:secret@[::1]/value_partner", True),
        ("app:secret@one/value_partner", True),
        ("app:secret@192.0.2.7/value_partner", True),
        ("app:secret@db.example.com:5432/value_partner", False),
        ("app:secret@/value_partner?sslmode=require&host=db.example.com", False),
    ],
)
def test_no_database_is_made_where_the_address_names_another(address: str, *, is_here: bool, tmp_path: Path) -> None:
    host = {"ansible_host": "192.0.2.7", "app_settings": {"DATABASE_URL": f"postgresql://{address}"}}
    (tmp_path / "hosts.json").write_text(
        json.dumps({group: {"hosts": {"one": host}} for group in ("postgresql", "workers")})
    )
    options = ["--playbook-dir", str(INVENTORIES.parent / "playbooks"), "-i", str(tmp_path / "hosts.json"), "one"]
    said = ansible("adhoc", *options, "-m", "debug", "-a", "var=value_partner_roles", folder=tmp_path)
    assert ('"postgresql"' in said) is is_here
    assert '"app"' in said


@pytest.mark.parametrize("managed", [True, False])
def test_an_inventory_that_says_whether_postgresql_is_managed_is_believed(managed: bool, tmp_path: Path) -> None:
    address = "db.example.com" if managed else "localhost"
    settings = {"DATABASE_URL": f"postgresql://app@{address}/value_partner"}
    host = {"app_settings": settings, "postgresql_managed": managed}
    (tmp_path / "hosts.json").write_text(
        json.dumps({group: {"hosts": {"one": host}} for group in ("postgresql", "workers")})
    )
    options = ["--playbook-dir", str(INVENTORIES.parent / "playbooks"), "-i", str(tmp_path / "hosts.json"), "one"]
    said = ansible("adhoc", *options, "-m", "debug", "-a", "var=value_partner_roles", folder=tmp_path)
    assert ('"postgresql"' in said) is managed
