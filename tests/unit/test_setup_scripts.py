"""The set-up's scripts, with a made-up machine around them.

Nothing here installs anything. The scripts run on a copy of the checkout's lists, with a search
path of their own, as a user without rights (a user namespace that maps nobody). What needs root
runs as root of such a namespace, with a folder bound over /usr/sbin: the machine's own policy for
services is not touched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the stamp is made of, in this order, after the folder's own path.
INPUTS = ("pyproject.toml",) + tuple(
    f".ci/{name}"
    for name in ("constraints.txt", "debian-packages.txt", "setup", "install-packages")
)
TOOLS = ("bash", "cat", "cut", "dirname", "flock", "grep", "mkdir", "sed", "sha256sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A folder with the project's set-up files, and the programs that this machine has."""

    project: Path
    programs: Path

    def has(self, name: str, script: str) -> None:
        """Put a program of this name on the search path."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder, with this machine's programs alone."""
        return subprocess.run(
            command,
            cwd=self.project,
            env={"PATH": str(self.programs), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,  # seconds
        )

    def set_up(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up as a user who is not root and can become nobody else."""
        unshare = shutil.which("unshare")
        assert unshare, "util-linux is missing"
        return self.run(unshare, "--user", "bash", ".ci/setup", **variables)

    def stamp(self) -> None:
        """Leave what a finished set-up of these very files leaves."""
        python = self.project / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
        python.chmod(0o755)
        body = b"".join((self.project / name).read_bytes() for name in INPUTS)
        digest = hashlib.sha256(os.fsencode(self.project.resolve()) + b"\n" + body).hexdigest()
        (self.project / ".venv/.set-up").write_text(digest + "\n", encoding="utf-8")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian with a new enough Python, everything but swig installed, and no sudo."""
    project = tmp_path / "a folder" / "tokenprov"
    programs = tmp_path / "programs"
    (project / ".ci").mkdir(parents=True)
    programs.mkdir()
    for name in INPUTS:
        shutil.copy(ROOT / name, project / name)
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (programs / name).symlink_to(found)
    made = Machine(project=project, programs=programs)
    made.has("python3", f'exec "{sys.executable}" "$@"')
    made.has("dpkg-query", 'case "$*" in *" swig") exit 1 ;; *) echo installed ;; esac')
    return made


def test_second_run_does_nothing(machine: Machine) -> None:
    """With a stamp that fits, the set-up says nothing and asks for no package."""
    machine.stamp()
    machine.has("dpkg-query", "touch asked")
    ran = machine.set_up()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert not (machine.project / "asked").exists()


@pytest.mark.parametrize("name", INPUTS)
def test_changed_list_is_set_up_again(machine: Machine, name: str) -> None:
    """A change of any file that the set-up follows makes the stamp stale."""
    machine.stamp()
    with (machine.project / name).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert "swig" in machine.set_up().stdout


def test_moved_checkout_is_set_up_again(machine: Machine) -> None:
    """A .venv does not survive a move of its folder, and its stamp does not either."""
    machine.stamp()
    moved = machine.project.rename(machine.project.with_name("elsewhere"))
    assert "swig" in Machine(project=moved, programs=machine.programs).set_up().stdout


def test_missing_package_is_named_with_its_reason(machine: Machine) -> None:
    """The set-up names the one package that is missing, why, and no other."""
    out = machine.set_up().stdout
    assert re.search(r"^  swig +makes pyscard's bindings$", out, re.MULTILINE)
    assert "pcscd" not in out


def test_user_without_sudo_is_told_the_command(machine: Machine) -> None:
    """Without root and sudo the set-up ends, and says what root has to run."""
    ran = machine.set_up()
    assert ran.returncode == 1
    assert "As root, run: bash .ci/install-packages swig" in ran.stderr
    assert not (machine.project / ".venv").exists()


def test_user_with_sudo_installs_by_it(machine: Machine) -> None:
    """With sudo the missing packages, and they alone, are installed through it."""
    machine.has("sudo", 'echo "$@" >sudo.log; exit 1')
    ran = machine.set_up()
    log = (machine.project / "sudo.log").read_text(encoding="utf-8")
    assert log == "-- bash .ci/install-packages swig\n"
    assert ran.returncode == 1
    assert "sudo is used to install them" in ran.stderr


def test_wrong_python_is_refused(machine: Machine) -> None:
    """PYTHON=… that is not a Python 3.11 or newer is said, before anything is installed."""
    machine.has("python2", "exit 1")
    ran = machine.set_up(PYTHON="python2")
    assert ran.returncode == 1
    assert "PYTHON=python2 is not a Python 3.11" in ran.stderr
    assert "swig" not in ran.stdout


# What apt-get's maintainer scripts would ask, and an exit code that a test can choose.
APT = """
for service in pcscd.service pcscd.socket yubiserver.service ssh.service nginx krb5-kdc cron; do
    /usr/sbin/policy-rc.d $service start; echo "$service $?"
done >>asked
/usr/sbin/policy-rc.d --quiet pcscd start 2; echo "pcscd $?" >>asked
echo "$@" >>asked
cp /usr/sbin/policy-rc.d policy
exit ${APT_EXIT:-0}
"""


def install(
    machine: Machine, folder: Path, *packages: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the installer as root of a namespace in which `folder` stands for /usr/sbin."""
    for name in ("chmod", "cp", "mount", "rm"):
        (machine.programs / name).unlink(missing_ok=True)
        (machine.programs / name).symlink_to(shutil.which(name) or name)
    machine.has("apt-get", APT)
    machine.has("update-rc.d", 'echo "$@" >>boot')
    unshare = shutil.which("unshare")
    assert unshare, "util-linux is missing"
    script = 'mount --bind "$1" /usr/sbin && shift && exec bash .ci/install-packages "$@"'
    words = (unshare, "-r", "-m", "bash", "-c", script, "bash", str(folder), *packages)
    return machine.run(*words, **variables)


@pytest.mark.parametrize("code", [0, 100])
def test_pcscd_is_not_started_by_its_installation(
    machine: Machine, tmp_path: Path, code: int
) -> None:
    """While apt-get runs, pcscd and the tests' servers may not start; after it, all may."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    ran = install(machine, sbin, "pcscd", "swig", APT_EXIT=str(code))
    asked = (machine.project / "asked").read_text(encoding="utf-8")
    refused = ("pcscd.service", "pcscd.socket", "yubiserver.service", "ssh.service", "nginx")
    lines = [*(f"{name} 101" for name in (*refused, "krb5-kdc")), "cron 0", "pcscd 101"]
    assert asked.splitlines()[: len(lines)] == lines
    assert "install --yes --no-install-recommends --no-upgrade -- pcscd swig" in asked
    assert ran.returncode == code
    assert not list(sbin.iterdir())


def test_policy_of_the_machine_is_kept(machine: Machine, tmp_path: Path) -> None:
    """A policy that forbids all starts, as in containers, stays as it is and is enough."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    policy = sbin / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    ran = install(machine, sbin, "pcscd")
    assert ran.returncode == 0, ran.stderr
    assert policy.read_text(encoding="utf-8") == "#!/bin/sh\nexit 101\n"


def test_policy_that_would_start_pcscd_stops_the_installation(
    machine: Machine, tmp_path: Path
) -> None:
    """Where the machine's own policy lets pcscd start, nothing is installed and it is said."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    policy = sbin / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    policy.chmod(0o755)
    ran = install(machine, sbin, "pcscd")
    assert ran.returncode == 1
    assert "Run 'apt-get install pcscd' yourself" in ran.stderr
    assert not (machine.project / "asked").exists()


@pytest.mark.parametrize("own_policy", [True, False])
def test_servers_for_tests_are_taken_out_of_the_boot(
    machine: Machine, tmp_path: Path, own_policy: bool
) -> None:
    """A server that was installed now does not start at boot; pcscd does, and what was there."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    if own_policy:
        (sbin / "policy-rc.d").write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        (sbin / "policy-rc.d").chmod(0o755)
    assert install(machine, sbin, "pcscd", "openssh-server", "swig").returncode == 0
    assert (machine.project / "boot").read_text(encoding="utf-8") == "ssh disable\n"


def test_killed_installation_is_made_up_for(machine: Machine, tmp_path: Path) -> None:
    """What a run installed that was killed is taken out of the boot by the next one."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    install(machine, sbin, "nginx", "krb5-kdc", APT_EXIT="100")
    shutil.move(machine.project / "policy", sbin / "policy-rc.d")  # as apt-get saw it
    (machine.project / "boot").unlink()
    assert install(machine, sbin, "swig").returncode == 0
    boot = (machine.project / "boot").read_text(encoding="utf-8")
    assert boot == "nginx disable\nkrb5-kdc disable\n"
    assert not list(sbin.iterdir())


def test_policy_left_by_a_killed_run_goes(machine: Machine, tmp_path: Path) -> None:
    """The policy of a set-up that was killed is recognised by its mark and removed."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    script = (machine.project / ".ci/install-packages").read_text(encoding="utf-8")
    mark = re.search(r"^mark='(.*)'$", script, re.MULTILINE)
    assert mark
    (sbin / "policy-rc.d").write_text(f"#!/bin/sh\n# {mark[1]}\nexit 0\n", encoding="utf-8")
    assert install(machine, sbin, "pcscd").returncode == 0
    assert not list(sbin.iterdir())
