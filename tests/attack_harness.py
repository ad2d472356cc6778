"""Runs the programs of tests/attacks against the sandbox, with things around that they must not reach.

    python tests/attack_harness.py [NAME ...]     one line for each attack and mode; exit code 1 if one had success

Standard library only, so that it also runs as a user who has nothing else. An attack is a Python file whose first line
says what it tries. Its tests expect random 80-bit integers. These names are there for it:


    CANARY_FILE     a file of the user that holds a secret        CANARY_PID      a process of the user
    TCP_PORT        a server on 127.0.0.1, UDP_PORT another       ABSTRACT        an abstract socket (stream)
    SOCKET_PATH     a socket with a path (datagrams)              SUPERVISOR_PID, TRAINER_PID

frame(kind, text) writes a forged frame to the channel, as the sandbox's own runner writes one.

A line "# TESTS: [...]" gives it tests of its own, in which SECRET is the random integer. A line "# CHANNEL: 16" has it
try to tell the next program a number below 16, and "# CHANNEL: 256, two workers" to tell it one that runs at the same
time: it runs with ROLE = "write" and MESSAGE, and with ROLE = "read", where f(3) must not return the message.
"""

import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import sandbox as sandbox_module

SECRET = f"secret-{random.getrandbits(80):x}"
FRAME = """
import os, struct
def frame(kind, text):
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    data = struct.pack(">cI", kind, len(data)) + data
    while data:
        data = data[os.write(3, data) :]
"""
ONE_AT_A_TIME = threading.Lock()  # the same channel in two modes at once would garble the messages
ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.py"))


class Canaries:
    """Things that an attack must neither change nor read."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="canaries-")
        self.secret = SECRET
        self.file = Path(self.folder.name) / "file"
        self.file.write_text(self.secret)
        os.environ["MINIRL_SECRET"] = self.secret
        self.process = subprocess.Popen(["sleep", "3600"])
        self.listeners = {name: socket.socket(family, kind) for name, family, kind in (
            ("TCP_PORT", socket.AF_INET, socket.SOCK_STREAM),
            ("UDP_PORT", socket.AF_INET, socket.SOCK_DGRAM),
            ("ABSTRACT", socket.AF_UNIX, socket.SOCK_STREAM),
            ("SOCKET_PATH", socket.AF_UNIX, socket.SOCK_DGRAM),
        )}  # fmt: skip
        path = str(Path(self.folder.name) / "socket")
        addresses = {
            "TCP_PORT": ("127.0.0.1", 0),
            "UDP_PORT": ("127.0.0.1", 0),
            "ABSTRACT": f"\0{path}",
            "SOCKET_PATH": path,
        }
        if sys.platform != "linux":
            addresses["ABSTRACT"] = path + "2"
        for name, listener in self.listeners.items():
            listener.bind(addresses[name])
            listener.setblocking(False)
            if listener.type == socket.SOCK_STREAM:
                listener.listen()
        self.names = {
            "CANARY_FILE": str(self.file),
            "CANARY_PID": self.process.pid,
            "TCP_PORT": self.listeners["TCP_PORT"].getsockname()[1],
            "UDP_PORT": self.listeners["UDP_PORT"].getsockname()[1],
            "ABSTRACT": path,
            "SOCKET_PATH": path,
            "TRAINER_PID": os.getpid(),
        }

    def harmed(self) -> list[str]:
        """What an attack has reached since the last time."""
        harm = []
        try:
            if self.file.read_text() != self.secret or self.file.stat().st_mode & 0o777 == 0:
                harm.append("the file was changed")
        except OSError:
            harm.append("the file is gone")
        self.file.write_text(self.secret)
        if self.process.poll() is not None or self.state(self.process.pid) == "T":
            harm.append("the process was killed or stopped")
            self.process.kill()
            self.process = subprocess.Popen(["sleep", "3600"])
            self.names["CANARY_PID"] = self.process.pid
        for name, listener in self.listeners.items():
            try:
                listener.accept() if listener.type == socket.SOCK_STREAM else listener.recv(100)
                harm.append(f"{name} was reached")
            except BlockingIOError:
                pass
        return harm

    @staticmethod
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for listener in self.listeners.values():
            listener.close()
        self.folder.cleanup()


def descendants(pid: int) -> list[int]:
    """All processes below one (Linux); [] where it is gone."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]


def successes(sandbox, canaries: Canaries, attack: str, module=sandbox_module) -> list[str]:
    """Run an attack, as a function and as a script; returns what it has achieved, which should be nothing."""
    Call, Check, Program = module.Call, module.Check, module.Program
    if "# CHANNEL: " in attack:
        return channel(sandbox, attack, module)
    supervisor = sandbox._workers[0].process.pid
    secret = random.getrandbits(80)
    names = canaries.names | {"SUPERVISOR_PID": supervisor}
    source = "".join(f"{name} = {value!r}\n" for name, value in names.items()) + FRAME + attack
    before = "marker = 'CANDIDATEBEFORE' * len(__name__)\ndef f(x): return marker and x + 1"
    sandbox.submit(Program(before, [Call((1,), 2)], "f")).result()
    start = time.monotonic()
    if own := re.search("^# TESTS: (.*)", attack, re.MULTILINE):
        programs = [Program(source, eval(own[1], vars(module) | {"SECRET": secret}), "f")]
    else:
        tests = [Call((1,), secret), Check(f"assert f(1) == {secret}"), Call((2,), [secret])]
        script = Program(source + "\nprint(f(1))\n", [module.StdIO("1\n", f"{secret}\n")])
        programs = [Program(source, tests, "f")] + [script] * (not sandbox.settings["isolate"])
    trainer = time.process_time()
    results = [sandbox.submit(program).result() for program in programs]
    seconds = time.monotonic() - start
    harm = canaries.harmed()
    if time.process_time() - trainer > 10:  # other attacks run at the same time
        harm.append(f"the trainer worked for {time.process_time() - trainer:.1f} s")
    for result in results:
        if any(passed and not detail for passed, detail in zip(result.passed, result.details, strict=True)):
            harm.append(f"passed: {result}")  # and no detail that says that the test ran inside
        if module.Verdict.sandbox_error in result.verdicts:
            harm.append(f"the sandbox blames itself: {result}")
        if "NameError" in repr(result.details):
            harm.append(f"the attack itself is broken: {result}")
        if not all(detail.isascii() and detail.isprintable() and len(detail) < 1000 for detail in result.details):
            harm.append("a detail that no terminal should show")
        for word in (canaries.secret, "CANDIDATEBEFORE", "LEFTBEHIND"):
            if word in repr(result):
                harm.append(f"{word} came out: {result}")
    if seconds > 30:
        harm.append(f"it took {seconds:.1f} s")
    start = time.monotonic()
    health = [Call((1,), 2), Call((1,), 3)]
    result = sandbox.submit(Program("import os\ndef f(x): return x + 1 + len(os.listdir())", health, "f")).result()
    if result.passed != (True, False) or time.monotonic() - start > 10:
        harm.append(f"the next program is harmed: {result}")
    if sandbox._workers[0].process.pid != supervisor:
        harm.append("the worker died")
    if len(descendants(supervisor)) > 1:  # the zygote
        harm.append("processes were left behind")
    return harm


def channel(sandbox, attack: str, module) -> list[str]:
    """Does one program get a message from another, three times in a row?"""
    numbers, together = int(re.search(r"# CHANNEL: (\d+)", attack)[1]), "two workers" in attack
    isolate = sandbox.settings["isolate"]
    with ONE_AT_A_TIME, module.Sandbox(workers=1 + together, cpu_seconds=2.0, isolate=isolate) as pool:
        for _ in range(3):
            message = random.randrange(1, numbers)
            writer, reader = (
                pool.submit(module.Program(f"ROLE = {role!r}\nMESSAGE = {message}\n{attack}", [test], "f"))
                for role, test in (("write", module.Call((3,), None)), ("read", module.Call((3,), message)))
            )
            writer.result()
            if not reader.result().all_passed:
                return []
    return ["three messages were received"]


def run_all(paths: Iterator[Path], isolate: bool) -> int:
    """Run attacks in one mode until none is left; prints a line for each, returns how many had success."""
    canaries, wins = Canaries(), 0
    try:
        with sandbox_module.Sandbox(
            workers=1, cpu_seconds=0.1, memory_mb=256, max_timeouts=1, isolate=isolate
        ) as sandbox:
            for path in paths:
                harm = successes(sandbox, canaries, path.read_text())
                wins += bool(harm)
                mode = "isolated" if isolate else "shared"
                line = f"{'FAIL' if harm else 'ok  '} {path.stem:24} {mode:9} {'; '.join(harm):.500}\n"
                sys.stdout.write(line)  # whole, as other threads write too
                sys.stdout.flush()
    finally:
        canaries.close()
    return wins


def main(names: list[str]) -> int:
    modes = [False] if "--shared" in names else [False, True]  # one process for all tests of a program, one for each
    names = [name for name in names if name != "--shared"]
    paths = [path for path in ATTACKS if not names or path.stem in names]
    with sandbox_module.Sandbox(workers=1) as sandbox:
        print("layers:", ", ".join(name for name, on in sandbox.layers.items() if on))
    parts = [(iter(paths), mode) for mode in modes] * (8 // len(modes))
    with ThreadPoolExecutor(8) as threads:  # more than cores, since some attacks only wait
        wins = sum(threads.map(run_all, *zip(*parts, strict=True)))
    print(f"{wins} of {len(modes) * len(paths)} had success")
    return 1 if wins else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
