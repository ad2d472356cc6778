"""Every program of tests/attacks fails to do what it tries: as functions and as a script, with a runner for all tests
and with one for each, as root; with a runner for all, as a user who is not, too (the harness has both modes)."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attack_harness import ATTACKS, Canaries

HERE = Path(__file__).parent
NOBODY = 65534


def python_for_everybody() -> str | None:
    """A Python that somebody without rights can start: the one that runs this may lie in root's home."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        code = "import sys; sys.exit(sys.version_info < (3, 11))"
        try:
            if subprocess.run([path, "-c", code], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/").returncode == 0:
                return path
        except OSError:
            pass
    return None


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What the harness prints: user -> its lines. Both users at the same time."""
    runs = {"me": subprocess.Popen([sys.executable, HERE / "attack_harness.py"], stdout=subprocess.PIPE, text=True)}
    if os.geteuid() == 0 and (python := python_for_everybody()):
        folder = tmp_path_factory.mktemp("nobody")
        (folder / "tests").mkdir()
        shutil.copy(HERE.parent / "sandbox.py", folder)
        shutil.copy(HERE / "attack_harness.py", folder / "tests")
        shutil.copytree(HERE / "attacks", folder / "tests" / "attacks")
        for path in (folder, *folder.parents[:-2]):
            path.chmod(0o755)
        runs["nobody"] = subprocess.Popen(
            [python, "-B", folder / "tests" / "attack_harness.py", "--shared"],
            stdout=subprocess.PIPE, text=True, user=NOBODY, group=NOBODY, extra_groups=[], cwd=folder,
        )  # fmt: skip
    return {user: process.communicate(timeout=600)[0].splitlines() for user, process in runs.items()}


@pytest.mark.parametrize("name", [path.stem for path in ATTACKS])
def test_attack_fails(outcomes, name):
    for user, lines in outcomes.items():
        found = [line for line in lines if line.split()[1:2] == [name]]
        assert len(found) == (1 if user == "nobody" else 2), (user, found)
        assert all(line.startswith("ok") for line in found), (user, found)


def test_the_unprivileged_user_was_tried_too(outcomes):
    if os.geteuid() == 0 and python_for_everybody() is None:
        pytest.skip("no Python here that others than root can start")
    layers = {user: lines[0] for user, lines in outcomes.items()}
    assert ("own_user" in layers["me"]) == (os.geteuid() == 0) and "own_user" not in layers.get("nobody", "")


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets")
@pytest.mark.parametrize(
    "name", ["delete", "tcp", "udp_sendto", "unix_sockets", "pair_to_address", "kill", "read_files", "environment"]
)
def test_without_a_sandbox_the_attack_would_have_had_success(name, tmp_path):
    """So the canaries notice what they are there to notice."""
    canaries = Canaries()
    try:
        names = canaries.names | {"SUPERVISOR_PID": canaries.process.pid, "TRAINER_PID": canaries.process.pid}
        source = "".join(f"{key} = {value!r}\n" for key, value in names.items())
        source += (HERE / "attacks" / f"{name}.py").read_text().replace("os.getppid(), 1, 0, -1", "")
        command = [sys.executable, "-c", source + "\nprint(f(1))"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        time.sleep(0.1)  # a signal takes its time on a busy machine
        assert canaries.harmed() or canaries.secret in done.stdout + done.stderr
    finally:
        canaries.close()
