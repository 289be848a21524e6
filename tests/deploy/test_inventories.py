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
