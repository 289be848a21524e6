"""`make lab`: a host in a container, deployed to over SSH as people do it, and left running to be looked at.

`make lab-down` removes it. The inventory is `inventories/lab`; its passwords are made by the first run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from app.errors import AppError, UnavailableError
from dev import hosts

_PROJECT = Path(__file__).resolve().parent.parent
_NAME = "lab"
_INVENTORY = Path("inventories", "lab")
_SSH_CONFIG = Path(".run", "hosts", "ssh_config")

_GUIDE = """
The lab runs Debian {release}. All this as the user who made it. Get in:

    ssh -F {ssh_config} {name}

Look, in there:

    sudo value-partner doctor
    sudo value-partner canary
    systemctl status celery-worker celery-beat celery-flower redis-server postgresql
    sudo journalctl -u celery-worker -f
    sudo systemd-analyze security celery-worker

or from here, after `. .venv/bin/activate`:

    ansible-playbook -i {inventory} playbooks/status.yml

Flower: leave `ssh -F {ssh_config} -N -L 5555:127.0.0.1:5555 {name}` running and open http://127.0.0.1:5555/ as
`viewer`; the password is in {inventory}/.secrets/flower_page.

Try:

    ansible-playbook -i {inventory} playbooks/site.yml                     # changes nothing
    git commit --allow-empty -m "Another release"
    ansible-playbook -i {inventory} playbooks/deploy.yml -e version=HEAD   # another release, canary and all
    ansible-playbook -i {inventory} playbooks/rollback.yml                 # back to the one before
    ssh -F {ssh_config} {name} sudo systemctl kill --signal=KILL celery-worker    # systemd starts it again
    ansible-playbook -i {inventory} playbooks/uninstall.yml                # leaves data and logs
    ansible-playbook -i {inventory} playbooks/uninstall.yml -e keep_data=false

`make lab` deploys to it again, `make lab-down` removes it.
"""


def up(release: str) -> int:
    """Make the host, deploy to it, and say how to use it.

    Args:
        release: the name of a release of Debian.

    Returns:
        The exit code of the deployment.

    Raises:
        UnavailableError: no host can run here, or one with another release does.
    """
    began = time.monotonic()
    hosts.up([_NAME], release=release)
    command = ["ssh", "-F", str(_SSH_CONFIG), _NAME, ". /etc/os-release && echo $VERSION_CODENAME"]
    runs = subprocess.run(
        command, cwd=_PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    ).stdout.strip()
    if runs != release:
        raise UnavailableError(
            f"runs Debian {runs or 'of an unknown release'}, not {release}",
            where="the lab",
            hint="`make lab-down` removes it",
        )
    print(f"A host with Debian {release} is up after {time.monotonic() - began:.0f} s; deploying to it …", flush=True)
    began = time.monotonic()
    code = _playbook("site.yml")
    said = f"{time.monotonic() - began:.0f} s"
    if code:
        print(f"The deployment failed after {said}. The host is left: ssh -F {_SSH_CONFIG} {_NAME}", file=sys.stderr)
        return code
    print(f"Deployed after {said}.")
    print(_GUIDE.format(release=release, ssh_config=_SSH_CONFIG, name=_NAME, inventory=_INVENTORY).rstrip())
    return 0


def down() -> int:
    """Remove the host, and the passwords that were made for it.

    Returns:
        0.
    """
    hosts.down([_NAME])
    shutil.rmtree(_PROJECT / _INVENTORY / ".secrets", ignore_errors=True)
    print("The lab is removed; images and downloaded packages stay in .run/ for the next one.")
    return 0


def _playbook(name: str) -> int:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(_PROJECT / "ansible.cfg")}
    # Ansible refuses to work in another encoding.
    if not sys.stdout.encoding.lower().startswith("utf"):
        environment["LC_ALL"] = "C.UTF-8"
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(_INVENTORY), f"playbooks/{name}"]
    return subprocess.run(command, cwd=_PROJECT, env=environment, check=False).returncode


def main() -> int:
    """Do what the command line says; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m dev.lab", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("--release", choices=sorted(hosts.RELEASES.values()), default="trixie")
    given = parser.parse_args()
    try:
        return up(given.release) if given.action == "up" else down()
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
