"""sandbox.py runs untrusted programs against tests. Standard library only.

    python sandbox.py                     what is isolated on this machine, a self-test, programs per second
    python sandbox.py FILE.py TESTS.json  run one program, print a verdict per test

    with Sandbox() as sandbox:
        program = Program("def f(x): return x + 1", [Call((1,), 2), Check("assert f(2) == 3")], entry_point="f")
        result = sandbox.submit(program).result()
        result.verdicts                   # (Verdict.passed, Verdict.passed)

How it works. Each worker is a small process tree; the untrusted program runs in the last of four kinds of process:

    trainer      holds the expected values; compares; never runs untrusted code
    zygote       a clean, small Python that only forks; it never sees a program, so all programs start from one state
    supervisor   one fork per program: reads the program and the inputs of its tests, watches the clock, kills, replies
    runner       one fork per program (after a crash or timeout, another): runs the program under resource limits

An expected value never enters the last three: a program sees the inputs of its tests, and what it returns is sent back
as data and compared in the trainer. So there is nothing to forge: exiting early, patching builtins, an object that
equals everything, or frames written by hand to the result pipe can only fail a test, or state a wrong answer.

What a program is held to: CPU time and, behind it, wall time per test; address space; file size; open files; no new
processes or threads; size and depth of what it returns or prints; no environment variables, no inherited files, a
scratch directory that is emptied after it. Started as root, runners switch to a user id of their own.

What it does not protect from, yet: there is no filter of system calls, files or network. A program can read and write
what its user can, open sockets, and (not as root, where it has its own user id) signal the user's other processes. It
is safe against the programs that a model writes by accident, not against an attacker. Tests whose inputs are visible
can be special-cased, which no sandbox prevents: use enough tests. On macOS, time limits are wall time.
"""

import sys

if sys.platform == "win32":
    sys.exit("minirl needs Linux or macOS; on Windows, install and run it inside WSL: learn.microsoft.com/windows/wsl")

import functools
import itertools
import json
import os
import resource
import select
import signal
import struct
import time

# ----------------------------------------------------------------------------------------------------------------------
# 1. Wire format: Python values as tagged JSON. {"tuple": [1, 2]}, {"dict": [["a", 1]]}; a list is a JSON list.

MAX_VALUE_BYTES = 1 << 20  # of one returned value, or of one program's standard output
MAX_REPLY_BYTES = 1 << 24  # of everything one program returns
MAX_DEPTH, MAX_NODES = 200, 200_000
CONTAINERS = {"tuple": tuple, "set": set, "frozenset": frozenset}
# How to make a plain value of a subclass with the base class's own methods, which the subclass cannot override.
FLATTEN = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    list: list.copy,
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    set: lambda value: set().union(value),
    frozenset: lambda value: frozenset().union(value),
    dict: dict.copy,
}


class TooLarge(ValueError):
    """A value that is too large or too deep to send."""


def encode(value, max_nodes=float("inf")):
    """A value as JSON-ready data; what is not plain data becomes {"opaque": type name}, which equals nothing.
    Raises TooLarge beyond MAX_DEPTH levels or max_nodes values.

    >>> encode((1, {2: "a"}))
    {'tuple': [1, {'dict': [[2, 'a']]}]}
    """
    nodes = 0

    def visit(value, depth):
        nonlocal nodes
        nodes += 1
        if depth > MAX_DEPTH or nodes > max_nodes:
            raise TooLarge(f"deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"more than {max_nodes} values")
        kind = type(value)  # the real type: __class__ can lie
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if -(1 << 63) < value < 1 << 63 else {"int": hex(value)}
        if kind is float:
            return value if value - value == 0 else {"float": repr(value)}
        if kind is list:
            return [visit(item, depth + 1) for item in value]
        if kind is dict:
            return {"dict": [[visit(k, depth + 1), visit(v, depth + 1)] for k, v in value.items()]}
        if kind is bytes:
            return {"bytes": value.hex()}
        if kind is complex:
            return {"complex": [repr(value.real), repr(value.imag)]}
        if kind is tuple or kind is set or kind is frozenset:
            return {kind.__name__: [visit(item, depth + 1) for item in value]}
        for base, flatten in FLATTEN.items():
            if issubclass(kind, base):
                return visit(flatten(value), depth)
        return {"opaque": kind.__name__}

    return visit(value, 0)


class Opaque:
    """Stands for a value that is no plain data. Comparing it, or asking for its truth, is an error."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"<{self.name} object>"

    def _refuse(self, *_):
        raise TypeError(f"a {self.name} object is not plain data")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __hash__ = _refuse


def decode(data):
    """The inverse of encode. Raises ValueError, TypeError or RecursionError on anything that encode does not make."""
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    ((tag, body),) = data.items()
    if tag == "dict":
        items = [(decode(key), decode(value)) for key, value in body]
        _refuse_collisions([key for key, _ in items])
        return dict(items)
    if tag in CONTAINERS:
        items = [decode(item) for item in body]
        if tag != "tuple":
            _refuse_collisions(items)
        return CONTAINERS[tag](items)
    if tag == "int":
        return int(body, 16)
    if tag == "float":
        return float(body)
    if tag == "bytes":
        return bytes.fromhex(body)
    if tag == "complex":
        return complex(float(body[0]), float(body[1]))
    if tag == "opaque":
        return Opaque(str(body)[:80])
    raise ValueError(f"unknown tag {tag!r:.80}")


def _refuse_collisions(items):
    """Keys made to hash alike would make a set of n items cost n squared; honest ones hardly ever do."""
    if len(items) > 1000 and len({hash(item) for item in items}) < len(items) // 2:
        raise ValueError("too many values with the same hash")


# ----------------------------------------------------------------------------------------------------------------------
# 2. Runner: the process that holds the untrusted program

FRAME = struct.Struct(">cI")  # a frame is its kind and the length of the text that follows
LOADED, RETURNED, RAISED, OUT_OF_MEMORY, TOO_LARGE, BAD_SYNTAX = b"L", b"R", b"E", b"M", b"T", b"S"
RESULT = 3  # a runner's descriptors: 0 to 2 are the program's standard streams, 3 is the pipe for frames
OPEN_FILES, FILE_BYTES = 64, 1 << 24
SETUP_FAILED = 97  # exit code of a runner that could not be confined


def run_untrusted(job, tests):
    """Load the program and run the tests, one frame for each; for a StdIO test, loading it is the test."""
    reads_stdin = "stdin" in tests[0]
    namespace = {"__name__": "__main__" if reads_stdin else "program"}

    def load():
        try:
            exec(compile(job["source"], "program.py", "exec", dont_inherit=True), namespace)
        except SystemExit as leave:
            if not reads_stdin or leave.code not in (None, 0):
                raise
        sys.stdout.flush()

    def call(test):
        if "expressions" in test:
            return [eval(compile(code, "test.py", "eval"), namespace) for code in test["expressions"]]
        return namespace[job["entry_point"]](*decode(test["args"]), **decode(test["kwargs"]))

    if attempt(LOADED, load) and not reads_stdin:
        for test in tests:
            attempt(RETURNED, call, test)


def attempt(kind, function, *args):
    """Send a frame with what came of function(*args); True if it returned."""
    text, returned = "", False
    try:
        value = function(*args)
        text, returned = json.dumps(encode(value, MAX_NODES)) if kind == RETURNED else "", True
    except TooLarge as error:
        kind, text = TOO_LARGE, f"the returned value is too large: {error}"
    except MemoryError:
        kind = OUT_OF_MEMORY
    except BaseException as error:  # SystemExit too: to leave is no way to pass
        kind = BAD_SYNTAX if kind == LOADED and isinstance(error, SyntaxError) else RAISED
        try:
            text = f"{type(error).__name__}: {error}"[:500]
        except BaseException:
            text = "an exception whose text cannot be had"
    data = text.encode("utf-8", "backslashreplace")
    write_all(RESULT, FRAME.pack(kind, len(data)) + data)
    return returned


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def limit_resources(settings, tests):
    """What one runner may use. The CPU limit is a backstop: the supervisor limits every test on its own."""
    megabytes = settings["memory_mb"] << 20
    seconds = int(settings["cpu_seconds"] * (len(tests) + 1)) + 2
    for name, value in (
        ("RLIMIT_AS", megabytes),
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_NPROC", 0),  # no new process and no thread; does not bind root, hence leave_root()
        ("RLIMIT_FSIZE", FILE_BYTES),
        ("RLIMIT_NOFILE", OPEN_FILES),
        ("RLIMIT_CORE", 0),
    ):
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (ValueError, OSError):
            if sys.platform == "linux":  # macOS refuses some of them
                raise


# ----------------------------------------------------------------------------------------------------------------------
# 3. Layers that need the Linux kernel: each function returns whether its layer is on


@functools.cache
def libc():
    """The C library, for system calls that Python does not offer."""
    import ctypes

    return ctypes.CDLL(None)


@functools.cache
def standard_library_is_private():
    """Does Python's standard library lie in a folder that others cannot enter, such as root's home?"""
    folder = os.path.dirname(os.path.realpath(os.__file__))
    while folder != "/":
        if not os.stat(folder).st_mode & 1:
            return True
        folder = os.path.dirname(folder)
    return False


def leave_root(uid):
    """Switch a root process to a user id of its own, so that it owns nothing and RLIMIT_NPROC binds it. Where Python's
    standard library lies in a home that only root can enter, the right to read files is kept."""
    private = standard_library_is_private()
    if private:
        libc().prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if private:
        header = struct.pack("=Ii", 0x20080522, 0)
        read_any_file = 1 << 2  # CAP_DAC_READ_SEARCH, effective and permitted
        if libc().capset(header, struct.pack("=6I", read_any_file, read_any_file, 0, 0, 0, 0)):
            raise OSError("capset failed")
    return True


def die_with_parent():
    """Be killed when the parent dies. Set after a change of user id, which would clear it."""
    return libc().prctl(1, signal.SIGKILL, 0, 0, 0) == 0  # PR_SET_PDEATHSIG


def works(layer, *args):
    """Try a layer in a child of its own."""
    if sys.platform != "linux":
        return False
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if layer(*args) else 1)
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


# ----------------------------------------------------------------------------------------------------------------------
# 4. Supervisor: one process a program; it runs none of the program's code


def wall_seconds(cpu_seconds):
    """The wall time limit behind a limit of CPU time: generous, since a busy machine is not the program's fault."""
    return 4 * cpu_seconds + 2


class Runner:
    """A runner process, seen from its supervisor."""

    def __init__(self, job, tests, settings):
        self.settings = settings
        self.result, result = os.pipe()
        self.output, output = os.pipe() if "stdin" in tests[0] else (None, settings["null"])
        self.printed, self.received, self.exit_code = bytearray(), bytearray(), None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.chdir(settings["scratch"])
                stdin = settings["null"]
                if self.output is not None:
                    with open("stdin", "wb") as file:
                        file.write(tests[0]["stdin"].encode("utf-8", "surrogatepass"))
                    stdin = os.open("stdin", os.O_RDONLY)
                    os.unlink("stdin")
                for target, source in enumerate((stdin, output, settings["null"], result)):
                    os.dup2(source, target)
                os.closerange(RESULT + 1, 256)
                limit_resources(settings, tests)
                if settings["layers"]["own_user"]:
                    leave_root(settings["uid"])
                if settings["layers"]["dies_with_parent"]:
                    die_with_parent()
            except BaseException:
                os._exit(SETUP_FAILED)
            try:
                run_untrusted(job, tests)
            finally:
                os._exit(0)
        os.close(result)
        if self.output is not None:
            os.close(output)
        self.poll = select.poll()
        self.poll.register(0, 0)  # the trainer: only its end is reported
        self.poll.register(self.result, select.POLLIN)
        if self.output is not None:
            self.poll.register(self.output, select.POLLIN)

    def cpu_seconds(self):
        try:
            return time.clock_gettime((~self.pid << 3) | 2)  # the kernel's name of another process's CPU clock
        except OSError:
            return 0.0 if sys.platform == "linux" else time.monotonic()  # has just died; macOS: wall time

    def frame(self):
        """Wait for the next frame: (kind, text, CPU seconds since the last). Where none comes, because the runner is
        over a limit or has died, the kind is the name of a verdict, and the runner must be closed."""
        limit = self.settings["cpu_seconds"]
        cpu_start, wall_end = self.cpu_seconds(), time.monotonic() + wall_seconds(limit)
        while True:
            seconds = max(0.0, self.cpu_seconds() - cpu_start)
            if len(self.received) >= FRAME.size:
                kind, length = FRAME.unpack_from(self.received)
                if length > MAX_VALUE_BYTES:
                    return "output_limit", f"returned more than {MAX_VALUE_BYTES} bytes", seconds
                if len(self.received) >= FRAME.size + length:
                    text = self.received[FRAME.size : FRAME.size + length].decode("utf-8", "replace")
                    del self.received[: FRAME.size + length]
                    return kind, text, seconds
            if len(self.printed) > MAX_VALUE_BYTES:
                return "output_limit", f"printed more than {MAX_VALUE_BYTES} bytes", seconds
            wall_left = wall_end - time.monotonic()
            if seconds >= limit or wall_left <= 0:
                return "timeout", "out of CPU time" if seconds >= limit else "out of wall time: it waits", seconds
            for descriptor, _ in self.poll.poll(1000 * min(limit - seconds, wall_left) + 1):
                if descriptor == 0:  # the trainer is gone
                    self.close()
                    os._exit(1)
                data = os.read(descriptor, 1 << 16)
                if data:
                    (self.printed if descriptor == self.output else self.received).extend(data)
                elif descriptor == self.output:
                    self.poll.unregister(descriptor)
                else:
                    return (*self.why_it_died(), seconds)

    def why_it_died(self):
        code = self.close()
        if code == SETUP_FAILED:
            raise OSError("a runner could not be set up")
        if code == 0 and self.output is not None:
            return LOADED, ""  # os._exit(0) is a way to end a program that prints
        if code == -signal.SIGXCPU:
            return "timeout", "out of CPU time"
        died = f"killed by signal {-code}" if code < 0 else f"exit with code {code}"
        return "runtime_error", f"{died} before the test was over"

    def close(self):
        """Kill the runner, of which nothing can be left since it cannot fork; returns its exit code, negative for a
        signal. What it had printed is kept."""
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.result)
            if self.output is not None:
                while len(self.printed) <= MAX_VALUE_BYTES and (data := os.read(self.output, 1 << 16)):
                    self.printed.extend(data)
                os.close(self.output)
            empty_folder(self.settings["scratch"])
        return self.exit_code


WHAT_OF_FRAME = {
    RETURNED: "returned",
    RAISED: "runtime_error",
    OUT_OF_MEMORY: "memory_limit",
    TOO_LARGE: "output_limit",
    BAD_SYNTAX: "syntax_error",
}


def run_job(job, settings):
    """Run a program's tests. Returns for each [what, text, CPU seconds]; what is "returned" (text: a value),
    "printed" (text: standard output) or the name of a verdict (text: its reason)."""
    tests, records = job["tests"], []
    room = MAX_REPLY_BYTES

    def record(kind, text, seconds):
        nonlocal room
        what = kind if isinstance(kind, str) else WHAT_OF_FRAME.get(kind, "runtime_error")  # a frame can be forged
        room -= len(text)
        if room < 0:
            what, text = "output_limit", f"all tests together returned more than {MAX_REPLY_BYTES} bytes"
        records.append([what, text, seconds])

    while len(records) < len(tests):
        if [what for what, _, _ in records].count("timeout") >= settings["max_timeouts"]:
            record("skipped", "too many tests before it timed out", 0.0)
            continue
        group = [tests[len(records)]]  # the tests that share a runner
        if "stdin" not in group[0] and not settings["isolate"]:
            group = list(itertools.takewhile(lambda test: "stdin" not in test, tests[len(records) :]))
        runner = Runner(job, group, settings)
        kind, text, seconds = runner.frame()
        if kind == LOADED and "stdin" in group[0]:
            runner.close()
            kind, text = "printed", runner.printed.decode("utf-8", "replace")
            if len(runner.printed) > MAX_VALUE_BYTES:
                kind, text = "output_limit", f"printed more than {MAX_VALUE_BYTES} bytes"
            record(kind, text, seconds)
        elif kind == LOADED:
            for _ in group:
                kind, text, seconds = runner.frame()
                record(kind, text, seconds)
                if isinstance(kind, str):  # this runner is over; another one goes on with the next test
                    break
        else:
            for _ in group:  # it would fail to load again
                record(RAISED if kind == RETURNED else kind, text, seconds)
        runner.close()
    return records


def empty_folder(path):
    """Delete all that a program left in its scratch folder. Nested folders are moved up first: a path could be longer
    than the system allows, and the walk deeper than Python's stack."""
    os.chmod(path, 0o700)
    for number in itertools.count():
        entries = list(os.scandir(path))
        if not entries:
            return
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)
                    os.rename(inner.path, os.path.join(path, f"{number}-{inner.inode()}"))
                else:
                    os.unlink(inner.path)
            os.rmdir(entry.path)


# ----------------------------------------------------------------------------------------------------------------------
# 5. Zygote: prepared once, forks a supervisor for every program


def zygote(settings):
    """Started by Sandbox as `python sandbox.py --zygote SETTINGS`. Jobs come by standard input, replies go to standard
    output, but only supervisors read and write them."""
    import builtins
    import gc

    for module in ("bisect", "collections", "functools", "heapq", "itertools", "math", "operator", "re", "typing"):
        __import__(module)  # what programs import most; more would make every fork slower
    builtins.exit = builtins.quit = sys.exit  # these come with the module site, which is not loaded
    settings["null"] = os.open(os.devnull, os.O_RDWR)
    settings["uid"] = 60_000 + os.getpid() % 5_000
    if sys.platform == "linux":  # look these up once, not in every child
        _ = libc().prctl, libc().capset, standard_library_is_private()
    settings["layers"] = {
        "own_user": os.geteuid() == 0 and works(leave_root, settings["uid"]),
        "dies_with_parent": works(die_with_parent),
    }
    if settings["layers"]["own_user"]:
        os.chown(settings["scratch"], settings["uid"], -1)
    run_job({"source": "", "tests": [{"expressions": ["1"]}]}, settings)  # warms up what every program needs
    gc.collect()
    gc.freeze()
    reply(settings["layers"])
    while True:
        pid = os.fork()
        if pid == 0:
            supervise(settings)
        if os.waitpid(pid, 0)[1]:
            os._exit(1)  # the supervisor died, or the trainer is gone


def supervise(settings):
    """One job: read it, run it, reply."""
    try:
        if settings["layers"]["dies_with_parent"]:
            die_with_parent()
        job = read_message(lambda size: os.read(0, size))
        reply(run_job(job, settings))
        os._exit(0)
    except EOFError:
        os._exit(1)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(2)


def reply(data):
    write_all(1, message(data))


def message(data):
    """JSON behind its length: how trainer and supervisor talk."""
    text = json.dumps(data).encode()
    return struct.pack(">Q", len(text)) + text


def read_message(read):
    """Read one message with read(at most size) -> bytes. Raises EOFError where the other side is gone."""

    def exactly(size):
        parts = []
        while size:
            data = read(min(size, 1 << 20))
            if not data:
                raise EOFError("the other side closed the connection")
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    return json.loads(exactly(struct.unpack(">Q", exactly(8))[0]))


if __name__ == "__main__" and sys.argv[1:2] == ["--zygote"]:  # before the imports below: a small process forks faster
    zygote(json.loads(sys.argv[2]))


# ----------------------------------------------------------------------------------------------------------------------
# 6. The trainer's side: what is run, and what came of it

import ast
import fcntl
import math
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Verdict(StrEnum):
    """What came of one test."""

    passed = "passed"
    wrong_answer = "wrong_answer"
    runtime_error = "runtime_error"
    timeout = "timeout"
    memory_limit = "memory_limit"
    output_limit = "output_limit"
    syntax_error = "syntax_error"
    skipped = "skipped"  # not run, since max_timeouts tests before it had timed out
    sandbox_error = "sandbox_error"  # the sandbox failed, not the program


@dataclass(frozen=True)
class Call:
    """Call the entry point, compare what it returns: Call(([3, 1],), [1, 3])."""

    args: Sequence[Any]
    expected: Any
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """An assert statement: Check("assert f([3, 1]) == [1, 3]")."""

    code: str


@dataclass(frozen=True)
class StdIO:
    """Run the whole program on this standard input, compare what it prints."""

    stdin: str
    stdout: str


@dataclass(frozen=True)
class Program:
    """Source code, the tests it is to meet, and the name of the function that Call tests call."""

    source: str
    tests: Sequence[Call | Check | StdIO]
    entry_point: str | None = None


@dataclass(frozen=True)
class Result:
    """What came of a program: per test a verdict, a detail (why, in a few words) and the CPU seconds it took."""

    verdicts: tuple[Verdict, ...]
    details: tuple[str, ...]
    seconds: tuple[float, ...]

    @property
    def passed(self) -> tuple[bool, ...]:
        return tuple(verdict == Verdict.passed for verdict in self.verdicts)

    @property
    def pass_rate(self) -> float:
        return sum(self.passed) / len(self.passed)

    @property
    def all_passed(self) -> bool:
        return all(self.passed)


def read_test(row: Any) -> Call | Check | StdIO:
    """A test as problem files write it: {"args", "expected", "kwargs"?}, {"assert"} or {"stdin", "stdout"}."""
    if isinstance(row, dict):
        if isinstance(row.get("args"), list) and "expected" in row and isinstance(row.get("kwargs", {}), dict):
            return Call(tuple(row["args"]), row["expected"], row.get("kwargs", {}))
        if isinstance(row.get("assert"), str):
            code = row["assert"].strip()
            try:
                return Check(ast.unparse(parse_assertion(code if code.startswith("assert") else f"assert {code}")))
            except SyntaxError as error:
                raise ValueError(f"not an assert statement: {code!r:.80} ({error})") from None
        if isinstance(row.get("stdin"), str) and isinstance(row.get("stdout"), str):
            return StdIO(row["stdin"], row["stdout"])
    raise ValueError(f'expected "args" (a list) and "expected", or "assert", or "stdin" and "stdout", got {row!r:.80}')


def parse_assertion(code: str) -> ast.Assert:
    tree = ast.parse(code)
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        raise SyntaxError("expected one assert statement")
    return tree.body[0]


class SandboxError(RuntimeError):
    """The sandbox cannot do what it was asked for."""


# ----------------------------------------------------------------------------------------------------------------------
# 7. Comparison, led by the expected value, which is trusted: the actual one is decoded data


def equal(expected: Any, actual: Any) -> bool:
    """Python's == for plain data, with a tolerance for floats (relative 1e-6, absolute 1e-9), and nan equal to nan.

    1 == 1.0 == True; a list is not a tuple; members of sets and keys of dicts must be equal exactly.
    """
    if isinstance(expected, float) or isinstance(actual, float):
        if not isinstance(expected, int | float) or not isinstance(actual, int | float):
            return False
        try:
            both_nan = expected != expected and actual != actual
            return both_nan or math.isclose(expected, actual, rel_tol=1e-6, abs_tol=1e-9)
        except OverflowError:  # an int too large for a float
            return expected == actual
    if isinstance(expected, list | tuple):
        return (
            isinstance(actual, list | tuple)
            and isinstance(expected, list) == isinstance(actual, list)
            and len(expected) == len(actual)
            and all(map(equal, expected, actual))
        )
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and expected.keys() == actual.keys()
            and all(equal(value, actual[key]) for key, value in expected.items())
        )
    return not isinstance(actual, Opaque) and bool(expected == actual)


def same_output(expected: str, actual: str) -> bool:
    """Do two texts have the same tokens? Numbers with a decimal point may differ as floats in equal() do."""
    wanted, got = expected.split(), actual.split()
    return len(wanted) == len(got) and all(map(_same_token, wanted, got))


def _same_token(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    try:
        return "." in expected + actual and equal(float(expected), float(actual))
    except ValueError:
        return False


# What may be evaluated in the trainer when an assertion is taken apart: plain operations on plain data.
PURE = {f.__name__: f for f in (abs, all, any, bool, float, frozenset, int, isinstance, len, list, max, min, round, set,
        sorted, str, sum, tuple, dict, math.isclose)}  # fmt: skip


def split_assertion(code: str, program: Program) -> tuple[list[str], Callable[[list[Any]], bool], bool]:
    """Take "assert f(3) == 9" apart: ["f(3)"] is evaluated in the sandbox, `value == 9` out here, so that the program
    never sees the 9. Returns the expressions, the judge of their values, and whether that worked; where it did not,
    the whole assertion is evaluated inside. Raises SyntaxError if code is no assert statement.
    """
    condition, holes = parse_assertion(code.strip()).test, []

    def is_pure(name: str) -> bool:
        return name in PURE and name != program.entry_point and not re.search(rf"\b{name}\s*(=[^=]|\()", defined)

    defined = " ".join(re.findall(r"def \w+\s*\(|\w+\s*=[^=]", program.source))

    def outside(node: ast.expr) -> ast.expr:
        """The part of the assertion at `node`, as evaluated out here: what is not pure becomes a hole."""
        parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        match node:
            case ast.Constant() | ast.Compare() | ast.BoolOp() | ast.UnaryOp():
                pure = True
            case ast.List() | ast.Tuple() | ast.Set() | ast.Dict():
                pure = not any(isinstance(part, ast.Starred) for part in parts)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                pure = True
            case ast.BinOp():
                pure = not any(isinstance(part, ast.Call | ast.Name) for part in ast.walk(node))
            case ast.Call(func=ast.Name(id=name), keywords=[]) if is_pure(name):
                parts = node.args
                pure = not any(isinstance(part, ast.GeneratorExp | ast.Starred) for part in parts)
            case ast.Name(id=name):
                return node if is_pure(name) else hole(node)
            case _:
                pure = False
        if not pure:
            return hole(node)
        replaced = {id(part): outside(part) for part in parts}
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, name, [replaced.get(id(item), item) for item in value])
            else:
                setattr(node, name, replaced.get(id(value), value))
        return node

    def hole(node: ast.expr) -> ast.expr:
        holes.append(ast.unparse(node))
        return ast.Subscript(ast.Name("holes", ast.Load()), ast.Constant(len(holes) - 1), ast.Load())

    whole = ast.unparse(condition)
    hidden = outside(condition)
    compares = any(isinstance(node, ast.Compare) for text in holes for node in ast.walk(ast.parse(text)))
    tested = {(program.entry_point or "") in text for text in holes}
    if compares or len(tested) != 1:  # two kinds of holes: an expected value would be computed inside
        return [f"bool({whole})"], lambda values: values == [True], False
    compiled = compile(ast.fix_missing_locations(ast.Expression(hidden)), "assertion", "eval")
    return holes, lambda values: bool(eval(compiled, {"__builtins__": {}, **PURE, "holes": values})), True


def prepare(program: Program) -> tuple[dict[str, Any], list[Callable[[Any], bool]], list[str]]:
    """The job as the sandbox sees it, without expected values; a judge for each test; what to say of a pass."""
    tests, judges, notes = [], [], []
    for test in program.tests:
        note = ""
        if isinstance(test, Call):
            if not program.entry_point:
                raise ValueError("a Call test needs the program's entry_point")
            tests.append({"args": encode(tuple(test.args)), "kwargs": encode(dict(test.kwargs))})
            judges.append(lambda value, expected=test.expected: equal(expected, value))
        elif isinstance(test, Check):
            expressions, judge, split = split_assertion(test.code, program)
            tests.append({"expressions": expressions})
            judges.append(judge)
            note = "" if split else "evaluated inside the sandbox, expected value in sight"
        else:
            tests.append({"stdin": test.stdin})
            judges.append(lambda text, expected=test.stdout: same_output(expected, text))
        notes.append(note)
    return {"source": program.source, "entry_point": program.entry_point, "tests": tests}, judges, notes


def judge_records(records: list[list[Any]], judges: list[Callable[[Any], bool]], notes: list[str]) -> Result:
    """Compare what came back with what was expected."""
    verdicts, details, seconds = [], [], []
    for (what, text, cpu_seconds), judge, note in zip(records, judges, notes, strict=True):
        verdict, detail = Verdict.wrong_answer, ""
        if what in ("returned", "printed"):
            try:
                actual = decode(json.loads(text)) if what == "returned" else text
                if judge(actual):
                    verdict, detail = Verdict.passed, note
                else:
                    detail = f"got {actual!r:.200}"
            except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
                detail = f"not comparable: {error}"[:200]
        else:
            verdict, detail = Verdict(what), text
        verdicts.append(verdict)
        details.append(detail)
        seconds.append(cpu_seconds)
    return Result(tuple(verdicts), tuple(details), tuple(seconds))


# ----------------------------------------------------------------------------------------------------------------------
# 8. Sandbox: a pool of workers


class WorkerDied(Exception):
    """A worker process is gone, or does not answer."""


class Worker:
    """A zygote, seen from the trainer."""

    def __init__(self, settings: dict[str, Any], folder: Path):
        self.settings = settings | {"scratch": str(folder)}
        folder.mkdir(mode=0o700)
        self.start()

    def start(self) -> None:
        self.layers: dict[str, bool] | None = None  # what the zygote says once it is ready
        self.process = subprocess.Popen(
            [sys.executable, *"-s -S -P -B -X utf8".split(), __file__, "--zygote", json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "HOME": self.settings["scratch"], "PATH": "/usr/bin:/bin"},
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal is for the trainer alone
        )

    def ready(self) -> dict[str, bool]:
        """Wait for the zygote; returns the layers of isolation that it has found."""
        if self.layers is None:
            self.layers = self.receive(patience=60.0)
        return self.layers

    def ask(self, job: dict[str, Any], patience: float) -> Any:
        """Send a job, wait for the reply, `patience` seconds at most."""
        self.ready()
        try:
            write_all(self.process.stdin.fileno(), message(job))
        except OSError as error:
            raise WorkerDied(str(error)) from None
        return self.receive(patience)

    def receive(self, patience: float) -> Any:
        deadline = time.monotonic() + patience
        poll = select.poll()
        poll.register(self.process.stdout, select.POLLIN)

        def read(size: int) -> bytes:
            if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
                raise EOFError("no reply in time")
            return os.read(self.process.stdout.fileno(), size)

        try:
            return read_message(read)
        except (OSError, EOFError, ValueError) as error:
            raise WorkerDied(str(error)) from None

    def stop(self) -> None:
        """Kill the zygote and all below it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Sandbox:
    """A pool of worker processes that run untrusted programs against tests.

    workers       worker processes; by default one a core
    cpu_seconds   CPU time limit of each test, and of loading the program; 4 times that + 2 s of wall time
    memory_mb     address space of a program, the interpreter's own (about 30 MB) included
    isolate       run every test in a process of its own
    max_timeouts  after so many timeouts the program's other tests are skipped; they count as failed
    require       names of layers (see .layers) without which the sandbox refuses to start, with a SandboxError

    Use it in a with statement; after that, or when the trainer dies in any way, no process of it is left.
    """

    def __init__(
        self,
        workers: int | None = None,
        cpu_seconds: float = 2.0,
        memory_mb: int = 512,
        isolate: bool = False,
        max_timeouts: int = 2,
        require: Sequence[str] = (),
    ):
        if workers is None:
            workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if workers < 1 or cpu_seconds <= 0 or memory_mb < 64 or max_timeouts < 1:
            raise ValueError("a sandbox needs workers >= 1, cpu_seconds > 0, memory_mb >= 64 and max_timeouts >= 1")
        self.settings = {
            "cpu_seconds": cpu_seconds,
            "memory_mb": memory_mb,
            "isolate": isolate,
            "max_timeouts": max_timeouts,
        }
        self._closed = False
        self._jobs: queue.SimpleQueue[tuple[Program, Future[Result]]] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._folder, self._lock = make_scratch()
        try:
            self._workers = [Worker(self.settings, self._folder / str(i)) for i in range(workers)]
            self._layers = [worker.ready() for worker in self._workers][0]
            missing = [name for name in require if not self.layers.get(name)]
            if missing:
                raise SandboxError(f"not isolated by {', '.join(missing)} on this machine; active: {self.layers}")
        except WorkerDied as error:
            self.close()
            raise SandboxError(f"the sandbox's worker processes do not start: {error}") from None
        except BaseException:
            self.close()
            raise
        for worker in self._workers:  # daemons: a trainer that ends does not wait for programs that still run
            threading.Thread(target=self._serve, args=(worker,), daemon=True).start()

    @property
    def layers(self) -> dict[str, bool]:
        """Each layer of isolation, and whether it is active here.

        limits            CPU time, memory, file size, open files, no new processes
        own_user          runners have a user id of their own (only where the trainer is root)
        dies_with_parent  the kernel kills a runner whose supervisor has died
        """
        return {"limits": True, **self._layers}

    def submit(self, program: Program) -> Future[Result]:
        """Run a program in the background; the future's result is a Result."""
        if self._closed:
            raise RuntimeError("cannot submit to a closed sandbox")
        future: Future[Result] = Future()
        self._jobs.put((program, future))
        return future

    def map(self, programs: Iterable[Program]) -> Iterator[Result]:
        """Run programs; yields their results in order. The same source with the same tests is run once."""
        futures: dict[tuple, Future[Result]] = {}
        order = []
        for program in programs:
            key = (program.source, program.entry_point, id(program.tests))
            if key not in futures:
                futures[key] = self.submit(program)
            order.append((futures[key], program))  # the program keeps its tests, and so their id, alive
        return (future.result() for future, _ in order)

    def _serve(self, worker: Worker) -> None:
        """One thread a worker: take the next program, run it, set its future."""
        while not self._closed:
            program, future = self._jobs.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._run(worker, program))
                except Exception as error:
                    future.set_exception(error)

    def _run(self, worker: Worker, program: Program) -> Result:
        job, judges, notes = prepare(program)
        wall, reason = wall_seconds(self.settings["cpu_seconds"]), ""
        for _ in range(2):  # an infrastructure failure gets one retry
            try:
                return judge_records(worker.ask(job, patience=60 + 2 * wall * len(judges)), judges, notes)
            except WorkerDied as error:
                if self._closed:
                    raise SandboxError("the sandbox was closed while the program ran") from None
                reason = f"the worker died twice: {error}"
                worker.stop()
                worker.start()
        n = len(judges)
        return Result((Verdict.sandbox_error,) * n, (reason,) * n, (0.0,) * n)

    def close(self) -> None:
        """Kill all workers and cancel the programs that wait. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        while not self._jobs.empty():
            self._jobs.get()[1].cancel()
        for worker in self._workers:
            worker.stop()
            cancelled: Future[Result] = Future()
            cancelled.cancel()
            self._jobs.put((Program("", ()), cancelled))  # wakes the worker's thread, which then ends
        remove_scratch(self._folder)
        os.close(self._lock)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def make_scratch() -> tuple[Path, int]:
    """A new folder for the workers' scratch folders, and the lock that says that it is in use. Folders whose trainer
    was killed are removed: their locks are free."""
    for stale in Path(tempfile.gettempdir()).glob("minirl-sandbox-*"):
        try:
            lock = os.open(stale, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_scratch(stale)
            finally:
                os.close(lock)
        except OSError:
            pass  # in use, or somebody else's
    folder = Path(tempfile.mkdtemp(prefix="minirl-sandbox-"))
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder.chmod(0o711)
    return folder, lock


def remove_scratch(folder: Path) -> None:
    for scratch in folder.iterdir():
        empty_folder(scratch)
    shutil.rmtree(folder, ignore_errors=True)


# ----------------------------------------------------------------------------------------------------------------------
# 9. Command line


def self_test(sandbox: Sandbox) -> bool:
    """Programs with known verdicts. Prints a line for each; True if all came out as they should."""
    cases = (
        ("a right answer", "def f(x): return x * x", Call((3,), 9), Verdict.passed),
        ("a wrong answer", "def f(x): return x + x", Call((3,), 9), Verdict.wrong_answer),
        ("an exception", "def f(x): return x / 0", Call((3,), 9), Verdict.runtime_error),
        ("an endless loop", "def f(x):\n    while True: pass", Call((3,), 9), Verdict.timeout),
        ("a memory bomb", "def f(x): return len([0] * 10**10)", Call((3,), 9), Verdict.memory_limit),
        ("a huge answer", "def f(x): return 'x' * 10**7", Call((3,), 9), Verdict.output_limit),
        ("a syntax error", "def f(x) return x", Call((3,), 9), Verdict.syntax_error),
        ("an early exit", "import os\ndef f(x): os._exit(0)", Call((3,), 9), Verdict.runtime_error),
        ("a new process", "import os\ndef f(x): os.fork()\n", Call((3,), None), Verdict.runtime_error),
        ("an object that equals all", "class E:\n  __eq__ = lambda *a: True\ndef f(x): return E()", Call((3,), 9),
         Verdict.wrong_answer),
        ("standard output", "print(sum(map(int, input().split())))", StdIO("1 2 3", "6\n"), Verdict.passed),
    )  # fmt: skip
    results = list(sandbox.map([Program(source, [test], "f") for _, source, test, _ in cases]))
    for (name, _, _, wanted), result in zip(cases, results, strict=True):
        mark = "ok  " if result.verdicts[0] == wanted else "FAIL"
        print(f"  {mark} {name:26} {result.verdicts[0]:14} {result.details[0]:.60}")
    return all(result.verdicts[0] == wanted for (*_, wanted), result in zip(cases, results, strict=True))


def main(argv: list[str]) -> int:
    if argv[:1] in (["-h"], ["--help"]) or len(argv) not in (0, 2):
        print("usage: python sandbox.py                     layers of isolation, a self-test, programs per second")
        print("       python sandbox.py FILE.py TESTS.json  run one program, print a verdict per test")
        print('TESTS.json: {"entry_point": "f", "tests": [{"args": [3], "expected": 9}, {"assert": "f(2) == 4"}]}')
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    if argv:
        try:
            source = Path(argv[0]).read_text(encoding="utf-8")
            data = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
            program = Program(source, [read_test(test) for test in data["tests"]], data.get("entry_point"))
            with Sandbox(workers=1) as sandbox:
                result = sandbox.submit(program).result()
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"sandbox: cannot run {argv[0]} against {argv[1]}: {error!r}", file=sys.stderr)
            return 2
        for number, columns in enumerate(zip(result.verdicts, result.seconds, result.details, strict=True), 1):
            print("{:4}  {:14} {:7.3f} s  {}".format(number, *columns))
        return 0 if result.all_passed else 1
    with Sandbox(cpu_seconds=1.0) as sandbox:
        print("layers")
        for name, active in sandbox.layers.items():
            print(f"  {'on ' if active else 'off'}  {name}")
        print("self-test")
        sound = self_test(sandbox)
        program = Program("def f(x): return sorted(x)", [Call(([3, 1, i],), sorted([3, 1, i])) for i in range(10)], "f")
        start, count = time.perf_counter(), 500
        for future in [sandbox.submit(program) for _ in range(count)]:
            sound = sound and future.result().all_passed
        seconds = time.perf_counter() - start
        print(f"speed\n  {count / seconds:.0f} programs of 10 tests a second, {len(sandbox._workers)} workers")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
