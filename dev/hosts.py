"""Hosts to deploy to, for tests and `make lab`: containers that systemd runs, made from Debian's own packages.

`python -m dev.hosts up debian12 debian13` starts them, `down` removes them. All that is known of them is in
`.run/hosts/`: `ssh_config` says how to get in, as an ordinary user who may use sudo.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.errors import AppError, UnavailableError
from dev.debian import attempt, install_programs, run

RELEASES = {"debian12": "bookworm", "debian13": "trixie"}

_PROJECT = Path(__file__).resolve().parent.parent
#: Keys, addresses, and what hosts have downloaded.
_FOLDER = _PROJECT / ".run" / "hosts"
_IMAGE = "localhost/value-partner-host"
_USER = "deployer"
_START_SECONDS = 120
#: Debian's packages with the programs that making hosts takes.
_TOOLS = {
    "podman": ["podman", "crun", "netavark"],
    "mmdebstrap": ["mmdebstrap"],
    "iptables": ["iptables"],
    "ssh": ["openssh-client"],
}
#: All clones on a machine share its packages and images; only one at a time may make them.
_LOCK = Path("/run/value-partner-hosts.lock")
#: The authorities that this machine trusts; a package index may stand behind a private one.
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")

#: What Debian's installer leaves on a server, as far as deploying needs it; and nothing of ours.
_PACKAGES = "ca-certificates,dbus,iproute2,openssh-server,procps,python3,python3-apt,sudo,systemd,systemd-sysv"
_RECIPE = (
    "--variant=apt",
    "--skip=cleanup/apt/lists",  # a server knows what packages there are
    f"--include={_PACKAGES}",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    f'--customize-hook=chroot "$1" useradd --create-home --shell /bin/bash {_USER}',
    f'--customize-hook=echo "{_USER} ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/{_USER}"',
    # A container has no modules to load, and no network of its own to configure.
    '--customize-hook=chroot "$1" systemctl mask systemd-modules-load.service',
    # Each host makes its own.
    '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
    # Debian's images delete packages when they are installed; here the folder is kept for the next host.
    '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/*clean*',
)
_FIRST_BOOT = """\
ssh-keygen -A -q
install -d -o {user} -g {user} -m 700 /home/{user}/.ssh
echo '{key}' > /home/{user}/.ssh/authorized_keys
chown {user}: /home/{user}/.ssh/authorized_keys
systemctl reset-failed ssh
systemctl restart ssh
"""


def up(names: Sequence[str], *, release: str | None = None) -> None:
    """Start hosts that do not run yet, and wait until they can be deployed to.

    Args:
        names: `debian12`, `debian13`, or any other name together with `release`.
        release: the release of all of them; the one that the name says if left out.

    Raises:
        UnavailableError: no container can run here; the message says what is missing.
    """
    releases = {name: release or RELEASES[name] for name in names}
    images = prepare(sorted(set(releases.values())))
    for name in names:
        if _running(name):
            continue
        image = images[releases[name]]
        run(["podman", "rm", "--force", "--ignore", "--volumes", _container(name)])
        run(["podman", "run", "--detach", *_options(name, image), image])
    for name in names:
        _wait_until_ready(name)
    _write_ssh_config(names)


def prepare(releases: Sequence[str]) -> dict[str, str]:
    """Install what is missing and make the images of these releases, which takes its time when there are none.

    Returns:
        the image of each release.

    Raises:
        UnavailableError: no container can run here; the message says what is missing.
    """
    _need_root()
    with _alone():
        install_programs(_TOOLS)
        _mount_cgroups()
        _make_key()
        return {release: _image(release) for release in releases}


def down(names: Sequence[str]) -> None:
    """Remove hosts and all that was on them; what they downloaded stays for the next ones."""
    _need_root()
    if shutil.which("podman"):
        run(["podman", "rm", "--force", "--ignore", "--volumes", "--time=5", *map(_container, names)])
    for name in names:
        (_FOLDER / f"{name}.ssh").unlink(missing_ok=True)
        (_FOLDER / f"{name}.known_hosts").unlink(missing_ok=True)


def restart(names: Sequence[str]) -> None:
    """Stop hosts as a shutdown does, and start them again."""
    _need_root()
    for name in names:
        run(["podman", "restart", "--time=90", _container(name)])
    for name in names:
        _wait_until_ready(name)
    _write_ssh_config(names)  # they may have other addresses now


def journal(name: str, lines: int = 40) -> str:
    """The end of what the services on a host said; empty where there is no such host."""
    units = [f"--unit={unit}" for unit in ("celery-*", "redis*", "postgresql*", "value-partner*", "logrotate*")]
    command = ["podman", "exec", _container(name), "journalctl", "--no-pager", "--quiet", f"--lines={lines}", *units]
    return attempt(command).stdout


def _container(name: str) -> str:
    """Two clones on one machine have hosts of their own."""
    clone = hashlib.sha256(os.fsencode(_PROJECT)).hexdigest()[:6]
    return f"value-partner-{clone}-{name}"


def _need_root() -> None:
    if os.geteuid() != 0:
        raise UnavailableError(
            "hosts with systemd can only be made by root",
            hint="Run it as root, or `sudo make …`; the app's own tests need no root",
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mount_cgroups() -> None:
    """Mount the one controller that crun asks for and that a hybrid of cgroup v1 and v2 may leave out."""
    folder = Path("/sys/fs/cgroup/hugetlb")
    is_hybrid = Path("/sys/fs/cgroup/unified").is_dir()
    if is_hybrid and "hugetlb" in Path("/proc/cgroups").read_text() and not folder.is_mount():
        folder.mkdir(exist_ok=True)
        run(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", str(folder)])


def _make_key() -> None:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    if not (_FOLDER / "key").exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "value-partner-hosts", "-f", str(_FOLDER / "key")])


def _image(release: str) -> str:
    """The image of a release, made when its recipe has changed or it is not there."""
    recipe = hashlib.sha256("\n".join(_RECIPE).encode()).hexdigest()[:12]
    image = f"{_IMAGE}:{release}-{recipe}"
    if attempt(["podman", "image", "exists", image]).returncode == 0:
        return image
    print(f"Making an image of Debian's {release} (about a minute, once)", flush=True)
    archive = _FOLDER / f"{release}.tar"
    try:
        run(["mmdebstrap", "--quiet", *_RECIPE, release, str(archive)])
        run(["podman", "import", "--quiet", '--change=CMD ["/sbin/init"]', str(archive), image])
    finally:
        archive.unlink(missing_ok=True)
    _forget_others(release, image)
    return image


def _forget_others(release: str, image: str) -> None:
    """Remove what older recipes made, but for images that another clone's hosts use."""
    there = run(["podman", "images", "--format={{.Repository}}:{{.Tag}}", f"--filter=reference={_IMAGE}"])
    for other in there.split():
        if other.startswith(f"{_IMAGE}:{release}") and other != image:
            attempt(["podman", "rmi", other])
    for packages in (_FOLDER / "packages").glob(f"{release}*"):
        if packages.name != image.rpartition(":")[2]:
            shutil.rmtree(packages)


def _options(name: str, image: str) -> list[str]:
    packages = _FOLDER / "packages" / image.rpartition(":")[2] / name
    pip_cache = _FOLDER / "pip"
    for folder in (packages / "partial", pip_cache):
        folder.mkdir(parents=True, exist_ok=True)
    mounts = {f"{packages}": "/var/cache/apt/archives", f"{pip_cache}": "/root/.cache/pip"}
    read_only = {path: path for path in _pip_paths()}
    if _AUTHORITIES.exists():
        read_only[str(_AUTHORITIES)] = "/etc/ssl/certs/ca-certificates.crt"
    pip_conf = _FOLDER / "pip.conf"
    pip_conf.write_text(_pip_conf())
    read_only[str(pip_conf)] = "/etc/pip.conf"
    return [
        f"--name={_container(name)}",
        f"--hostname={name}",
        # Unprivileged, systemd silently ignores ProtectSystem, PrivateTmp and the like.
        "--privileged",
        "--systemd=always",
        "--ulimit=nofile=20000:20000",
        "--ulimit=nproc=32768:32768",
        *(f"--volume={source}:{target}" for source, target in mounts.items()),
        *(f"--volume={source}:{target}:ro" for source, target in read_only.items()),
    ]


def _pip_settings() -> dict[str, str]:
    """What this machine's pip is told of indexes and certificates, by its variables or its files."""
    wanted = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert")
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = {}
    for line in said.splitlines():
        name, _, value = line.partition("=")
        name = name.rpartition(".")[2]
        if name in wanted:
            found[name] = value.strip("'\"").replace("\\n", " ")
    return found


def _pip_conf() -> str:
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in _pip_settings().items()), ""])


def _pip_paths() -> list[str]:
    """The folders and files of this machine that its pip looks into."""
    words = [word for value in _pip_settings().values() for word in value.split()]
    local = [Path(word.removeprefix("file://")) for word in words if word.startswith("file:///")]
    # An index in a folder points to files beside it; but all of this machine is no folder of packages.
    folders = {str(path if path.parent == Path("/") else path.parent) for path in local}
    return sorted({word for word in {*words, *folders} if word.startswith("/") and Path(word).exists()})


def _running(name: str) -> bool:
    command = ["podman", "inspect", "--format={{.State.Running}}", _container(name)]
    return attempt(command).stdout.strip() == "true"


def _address(name: str) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    return run(["podman", "inspect", f"--format={form}", _container(name)]).split()[0]


def _wait_until_ready(name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    states = ("running", "degraded")
    while (state := _state(name)) not in states:
        if time.monotonic() > deadline:
            said = attempt(["podman", "logs", "--tail=5", _container(name)])
            raise UnavailableError(
                f"systemd is {state or 'not there'} after {_START_SECONDS} s:\n{said.stdout}{said.stderr}".rstrip(),
                where=_container(name),
            )
        time.sleep(0.2)  # each look starts a process in the container
    script = _FIRST_BOOT.format(user=_USER, key=(_FOLDER / "key.pub").read_text().strip())
    run(["podman", "exec", _container(name), "sh", "-ec", script])
    while True:
        with contextlib.suppress(OSError), socket.create_connection((_address(name), 22), timeout=5) as ssh:
            if ssh.recv(4) == b"SSH-":
                return
        if time.monotonic() > deadline:
            raise UnavailableError("SSH does not answer", where=_container(name))
        time.sleep(0.1)  # systemd says nothing to us of a socket that listens


def _state(name: str) -> str:
    return attempt(["podman", "exec", _container(name), "systemctl", "is-system-running"]).stdout.strip()


def _write_ssh_config(names: Sequence[str]) -> None:
    for name in names:
        known = _FOLDER / f"{name}.known_hosts"
        known.unlink(missing_ok=True)  # a host of this name was another one
        (_FOLDER / f"{name}.ssh").write_text(
            f"Host {name}\n"
            f"    HostName {_address(name)}\n"
            f"    User {_USER}\n"
            f'    IdentityFile "{_FOLDER}/key"\n'
            f"    IdentitiesOnly yes\n"
            f'    UserKnownHostsFile "{known}"\n'
            "    StrictHostKeyChecking accept-new\n"
            "    LogLevel ERROR\n"
            # A connection that is kept open must not outlive the host, for the next one has its name.
            "    ServerAliveInterval 2\n"
            "    ServerAliveCountMax 3\n"
        )
    (_FOLDER / "ssh_config").write_text(f'Include "{_FOLDER}/*.ssh"\n')


def main() -> int:
    """Do what the command line says; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m dev.hosts", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["up", "down", "restart"])
    parser.add_argument("names", nargs="+", metavar="NAME", help="debian12, debian13, or another with --release")
    parser.add_argument("--release", choices=sorted(RELEASES.values()))
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in RELEASES]
    if unknown and given.action == "up" and given.release is None:
        parser.error(f"of which release {', '.join(unknown)} is, --release must say")
    try:
        if given.action == "up":
            up(given.names, release=given.release)
        else:
            {"down": down, "restart": restart}[given.action](given.names)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
