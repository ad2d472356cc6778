"""sandbox.py runs untrusted programs against tests. Standard library only.

    python sandbox.py                     what is isolated on this machine, and a self-test
    python sandbox.py FILE.py TESTS.json  run one program, print a verdict per test

    with Sandbox() as sandbox:
        program = Program("def f(x): return x + 1", [Call((1,), 2), Check("assert f(2) == 3")], entry_point="f")
        result = sandbox.submit(program).result()
        result.verdicts                   # (Verdict.passed, Verdict.passed)

How it works. The untrusted program runs in the last of four kinds of process; each kind knows less than the one before:

    trainer      holds the expected values; compares; never runs untrusted code
    supervisor   one a worker: passes programs on, watches the clock, gives orders to kill, replies
    zygote       one a worker: a small, clean Python behind all layers of isolation that never sees a program. On one
                 order it forks a runner, on the next it kills it and wipes the scratch folder
    runner       one fork a program (after a crash or a timeout, another): runs the program

An expected value never meets a program: that sees the inputs of its tests; what it returns is sent back as data and
compared in the trainer or, where it is long, in a runner that has seen no program. So there is nothing to forge: to
exit early, patch builtins, return an object that equals everything, or write frames by hand to the result channel can
only fail a test, or state a wrong answer.

What is protected, where all layers are on (`python sandbox.py` tells; Linux, no privileges needed):
  * your files: a program reads Python's library, and writes 16 MB of memory that are wiped after it; nothing else
  * your network, processes, environment variables, terminal: it has none, and cannot see yours
  * your machine: CPU time (and wall time, in case it sleeps), memory, output and open files are limited; no processes
    or threads; everything ends with its test, and with the trainer, even if that is killed
  * your results: expected values are out of reach, and programs leave nothing for each other
What is not:
  * a bug in the kernel can let a program out, though a hundred system calls are few to find one in; native code
    (ctypes) is taken for granted. Against people who would spend such a bug on you, use a virtual machine as well
  * inputs are visible, so weak tests can be special-cased; a Check that cannot be taken apart runs inside, and says so
  * programs that conspire can signal each other through the processor's caches, timing, or the kernel's counters,
    such as the numbers that it gives to the files in the scratch folder
  * a program that fails can choose how it fails, and use the time of all its tests for one: do not reward either
  * where a layer is off, LAYERS says what is missing. macOS: only hidden expected values, and wall time as the limit
What honest programs lose: threads, subprocesses, sockets, mkdir, file locks, and packages outside Python's library.
"""

import sys

if sys.platform == "win32":
    sys.exit("minirl needs Linux or macOS; on Windows, install and run it inside WSL: learn.microsoft.com/windows/wsl")

import atexit
import builtins
import contextlib
import ctypes
import functools
import gc
import json
import math
import os
import resource
import select
import signal
import socket
import struct
import time

LAYERS = {
    "limits": "memory, file size, open files and CPU time are limited; no new processes or threads",
    "seccomp": "may ask the kernel only for what a computation needs: no processes, sockets, signals (seccomp)",
    "files": "reads Python's library, writes its scratch folder, no other file (Landlock)",
    "read_only": "all file systems are read-only, the scratch folder is 16 MB of memory (mount namespace)",
    "network": "a network of its own, without any connection (network and IPC namespaces)",
    "processes": "no process of yours is in its reach, and one kill ends all of its own (process namespace)",
    "own_user": "a user of its own, who owns nothing (only where started as root)",
    "dies_with_parent": "the kernel kills it when the process that started it has died",
}

# ----------------------------------------------------------------------------------------------------------------------
# 1. Wire format and comparison. Python values are tagged JSON: {"tuple": [1, 2]}, {"dict": [["a", 1]]}, [1, 2]

MAX_VALUE_BYTES = 8 << 20  # of one returned value, or of one program's standard output
MAX_REPLY_BYTES = 16 << 20  # of everything one program returns
CONTAINERS = {"tuple": tuple, "set": set, "frozenset": frozenset}
# How to make a plain value of a subclass with the base class's own methods, which the subclass cannot override.
FLATTEN = {int: int.__int__, float: float.__float__, str: str.__str__, list: list.copy, dict: dict.copy}
FLATTEN |= {base: lambda value, base=base: base(base.__iter__(value)) for base in (bytes, *CONTAINERS.values())}
EQUAL = {type({}.keys()): set, type({}.items()): set, bytearray: bytes}  # they equal these, and are none
DECODED_BY = {"int": lambda body: int(body, 16), "float": float, "bytes": bytes.fromhex}
DECODED_BY["complex"] = lambda body: complex(*map(float, body))
compiled = functools.lru_cache(10_000)(compile)


def encode(value):
    """A value as JSON-ready data. What is not plain data becomes {"opaque": type name}, which equals nothing, or, where
    Python takes every object of its type to be true, {"object": type name}. What equals plain data without being any
    becomes {"equals": [type name, data]}, such as Fraction(1, 2). Raises RecursionError at hundreds of levels.

    >>> encode((1, {2: "a"}))
    {'tuple': [1, {'dict': [[2, 'a']]}]}
    """
    kind = type(value)  # the real type: __class__ can lie
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -(1 << 63) < value < 1 << 63 else {"int": hex(value)}
    if kind is float:
        return value if value - value == 0 else {"float": repr(value)}
    if kind is list:
        return [encode(item) for item in value]
    if kind is dict:
        return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is complex:
        return {"complex": [repr(value.real), repr(value.imag)]}
    if kind is tuple or kind is set or kind is frozenset:
        return {kind.__name__: [encode(item) for item in value]}
    for base, flatten in FLATTEN.items():
        if issubclass(kind, base):
            return encode(flatten(value))
    makers = (int, float) if kind.__name__ in ("Fraction", "Decimal") else (EQUAL.get(kind),)
    for make in filter(None, makers):
        with contextlib.suppress(ValueError, TypeError, ArithmeticError):  # Decimal("nan"), {1: []}.items()
            if make(value) == value:
                return {"equals": [kind.__name__, encode(make(value))]}
    can_be_false = any(name in vars(base) for base in kind.__mro__ for name in ("__bool__", "__len__"))
    return {"opaque" if can_be_false else "object": kind.__name__}


class Opaque:
    """Stands for a value that is no plain data. To compare it is an error, and to ask whether it is true, too, unless
    all objects of its type are."""

    def __init__(self, name, is_true=False):
        self.name, self.is_true = name, is_true

    def __repr__(self):
        return f"<{self.name} object>"

    def __bool__(self):
        return self.is_true or self._refuse()

    def _refuse(self, *_):
        raise TypeError(f"a {self.name} object is not plain data")

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse


def decode(data, strict=False):
    """The inverse of encode, but that what equals plain data becomes that; or, where strict, Opaque. Raises some
    Exception on most of what encode does not make."""
    if isinstance(data, list):
        return [decode(item, strict) for item in data]
    if not isinstance(data, dict):
        return data
    ((tag, body),) = data.items()
    if tag == "dict":
        return {decode(key, strict): decode(value, strict) for key, value in body}
    if tag in CONTAINERS:
        return CONTAINERS[tag]([decode(item, strict) for item in body])
    if tag in DECODED_BY:
        return DECODED_BY[tag](body)
    if tag == "equals" and not strict:
        return decode(body[1])
    if tag in ("opaque", "object", "equals"):
        return Opaque(str(body)[:80], tag == "object")
    raise ValueError(f"unknown tag {tag!r:.80}")


def matches(wanted, got, json_like=False):
    """Does a returned value equal the expected one? As Python's == says: 1 == 1.0 == True, a list is no tuple. But
    where a float is wanted, there is a tolerance (relative 1e-6, absolute 1e-9), and nan equals nan; not so in sets and
    keys. json_like: the expected value is from JSON, so a list may be a tuple, and the key "1" may be 1."""
    if isinstance(wanted, float) and isinstance(got, int | float):
        with contextlib.suppress(OverflowError):
            return (wanted != wanted and got != got) or math.isclose(wanted, got, rel_tol=1e-6, abs_tol=1e-9)
        return False  # an int too large for a float
    if json_like and isinstance(wanted, dict) and isinstance(got, dict) and len(wanted) == len(got):
        got = {json.dumps(key) if isinstance(key, int | float) else key: value for key, value in got.items()}
    if isinstance(wanted, dict) and isinstance(got, dict) and wanted.keys() == got.keys():
        wanted, got = list(wanted.values()), list(map(got.get, wanted))
    alike = type(wanted) is type(got) or (json_like and isinstance(got, tuple))
    if isinstance(wanted, list | tuple) and alike and len(wanted) == len(got):
        for w, g in zip(wanted, got, strict=True):  # not by all(): so it goes as deep as encode() did
            if not matches(w, g, json_like):
                return False
        return True
    return bool(wanted == got)


def decide(judge, data):
    """Is a reply, as encode() makes it, what was expected? Either the judge has "options", of which any will do, or a
    "condition" that asks for hole(0), hole(1), ... of a list of values. Raises whatever a value that is none raises."""
    if "condition" in judge:
        scope = {"hole": decode(data, strict="isinstance" in judge["condition"]).__getitem__, "math": math}
        return bool(eval(compiled(judge["condition"], "assertion", "eval"), scope))
    return any(matches(decode(option), decode(data), judge["json_like"]) for option in judge["options"])


# ----------------------------------------------------------------------------------------------------------------------
# 2. Layers: each function switches one on for the process that calls it and all below it, or raises

LIBRARY = os.path.dirname(os.path.realpath(os.__file__))  # Python's standard library
LIBC = ctypes.CDLL(None)  # for system calls that Python does not offer
SCRATCH_BYTES = 1 << 24


def works(layer, *args):
    """Try a layer in a child: one that fails half-way would leave this process in an unknown state."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            layer(*args)
            os._exit(0)
        os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def switch_on(layer, *args):
    """Switch a layer on where it works; returns whether it is on."""
    if on := works(layer, *args):
        layer(*args)
    return on


def call_libc(name, *args):
    """Call a function of the C library, most of which return -1 if they fail."""
    result = getattr(LIBC, name)(*args)
    if result == -1:
        raise OSError(f"{name} failed")
    return result


def limit_resources(cpu_seconds, memory_mb):
    """What one runner may use. It stops honest excess; the CPU limit is a backstop, as the supervisor limits every test
    on its own. It does not bind what the kernel keeps for a process (pipes, page tables)."""
    refusals = () if sys.platform == "linux" else (ValueError, OSError)  # macOS refuses some of them
    for limit, value in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_CPU, int(cpu_seconds) + 2),
        (resource.RLIMIT_NPROC, 0),  # no new process and no thread; does not bind root, hence leave_root()
        (resource.RLIMIT_FSIZE, SCRATCH_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(*refusals):
            resource.setrlimit(limit, (value, value))


def own_namespaces():
    """Share no process ids, network or shared memory with the machine. Who is not root may do this inside a user
    namespace. Sockets that are files stay in reach: Landlock and seccomp are for those. It holds for new children."""
    unshare = 0x08000000 | 0x20000000 | 0x40000000  # CLONE_ NEWIPC, NEWPID, NEWNET
    user, group = os.geteuid(), os.getegid()
    call_libc("unshare", unshare if user == 0 else unshare | 0x10000000)  # CLONE_NEWUSER
    if user != 0:
        for name, text in ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1"):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def read_only(scratch):
    """Make all file systems read-only, hide /proc and the packages that are installed for Python, and put an empty one
    of 16 MB on the scratch folder. Whatever else the user may read stays readable, and devices stay what they are: that
    is Landlock's part."""
    call_libc("unshare", 0x00020000)  # CLONE_NEWNS
    attributes = struct.pack("=4Q", 1 | 2, 0, 1 << 18, 0)  # set MOUNT_ATTR_ RDONLY and NOSUID; MS_PRIVATE
    call_libc("syscall", 442, -100, b"/", 0x8000, attributes, len(attributes))  # mount_setattr(AT_FDCWD, AT_RECURSIVE)
    packages = [f"{LIBRARY}/{end}-packages" for end in ("site", "dist", "../python3/site", "../python3/dist")]
    for folder, files in (("/proc", 1), (scratch, 1000), *((path, 1) for path in packages if os.path.isdir(path))):
        options = f"size={SCRATCH_BYTES},nr_inodes={files},mode=777"
        call_libc("mount", b"none", os.fsencode(folder), b"tmpfs", 2 | 4 | 8, options.encode())  # NOSUID NODEV NOEXEC


def landlock(scratch):
    """Open no file but Python's own library, shared libraries and the scratch folder; no TCP, no abstract sockets and
    no signals to others. Does not stop stat(): that a file exists, its size and its times can be seen."""
    version = call_libc("syscall", 444, None, 0, 1)  # landlock_create_ruleset, which also tells the version
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1  # all that this kernel knows
    execute, write_file, read_file, read_folder = 1 << 0, 1 << 1, 1 << 2, 1 << 3
    special = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12  # devices, sockets, named pipes, symbolic links
    # files; then, where known: binding and connecting by TCP; abstract sockets and signals to the outside
    attributes = struct.pack("=3Q", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    ruleset = call_libc("syscall", 444, attributes, 8 if version < 4 else 16 if version < 6 else 24, 0)
    readable = [LIBRARY, os.path.join(sys.base_prefix, "lib"), "/lib", "/lib64", "/usr/lib", "/usr/share/zoneinfo"]
    allowed = {path: read_file | read_folder for path in readable}
    allowed |= {path: read_file for path in ("/dev/urandom", "/dev/zero")} | {"/dev/null": read_file | write_file}
    allowed[scratch] = rights & ~(execute | special)
    for path, right in allowed.items():
        if os.path.exists(path):
            folder = os.open(path, os.O_PATH)
            call_libc("syscall", 445, ruleset, 1, struct.pack("=Qi", right & rights, folder), 0)  # landlock_add_rule
            os.close(folder)
    call_libc("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, a condition
    call_libc("syscall", 446, ruleset, 1 if version >= 7 else 0)  # landlock_restrict_self, without an audit log
    os.close(ruleset)


def leave_root(user, landlocked):
    """Be a user who owns no file and no other process, and whom RLIMIT_NPROC binds. Python's library may lie where only
    root can enter, such as root's home; then the right to read files is kept, which Landlock limits to the library."""
    call_libc("prctl", 8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    keep_capabilities(1 << 2 if landlocked and not os.access(os.__file__, os.R_OK) else 0)  # CAP_DAC_READ_SEARCH
    with open(os.__file__):
        pass


def keep_capabilities(kept):
    """Give up all rights that root, or the owner of a user namespace, has beyond a user's, but those in `kept`."""
    call_libc("capset", struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def be_the_one_to_kill():
    """Should the machine run out of memory, let the kernel choose this process; and let it dump no core anywhere."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    call_libc("prctl", 4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def die_with_parent():
    """Be killed when the parent dies. Set after a change of user, which clears it."""
    call_libc("prctl", 1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


# The system calls that a computation needs, with their numbers on x86-64 and aarch64. All others, also those that
# future kernels add, answer "not implemented": fork, exec, kill, socket, connect, ptrace, mount, chmod, mkdir, ...
SYSCALLS = """
    read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, lseek 8 62, open 2 -,
    openat 257 56, openat2 437 437, close 3 57, close_range 436 436, stat 4 -, fstat 5 80, lstat 6 -,
    newfstatat 262 79, statx 332 291, access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -,
    readlinkat 267 78, getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50, unlink 87 -, unlinkat 263 35,
    rename 82 -, renameat 264 38, renameat2 316 276, truncate 76 45, ftruncate 77 46, fsync 74 82, fdatasync 75 83,
    umask 95 166, mmap 9 222, munmap 11 215, mprotect 10 226, mremap 25 216, madvise 28 233,
    brk 12 214, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136,
    rt_sigtimedwait 128 137, sigaltstack 131 132, pipe 22 -, pipe2 293 59, dup 32 23, dup2 33 -, dup3 292 24,
    poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -,
    epoll_pwait 281 22, eventfd2 290 19, recvfrom 45 207, sched_yield 24 124,
    sched_getaffinity 204 123, nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113,
    clock_getres 229 114, gettimeofday 96 169, time 201 -, times 100 153, getrusage 98 165, getrlimit 97 163,
    alarm 37 -, setitimer 38 103, getitimer 36 102, pause 34 -, getpid 39 172, getppid 110 173, gettid 186 178,
    getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getpgrp 111 -, getgroups 115 158,
    getresuid 118 148, getresgid 120 150, uname 63 160, sysinfo 99 179, getrandom 318 278, membarrier 324 283,
    restart_syscall 219 128, exit 60 93, exit_group 231 94"""
# These only with certain arguments: name, numbers, {index of the 32-bit half of an argument: allowed values}.
LIMITED_SYSCALLS = (
    ("fcntl", 72, 25, {2: (0, 1, 2, 3, 4, 1030)}),  # no locks, which others see; no F_SETOWN, which sends signals
    ("futex", 202, 98, {2: (128, 129, 137, 138, 393)}),  # its own, not shared with others
    ("ioctl", 16, 29, {2: (0x5401, 0x5421, 0x541B, 0x5451)}),  # isatty(), setblocking(), FIONREAD, FIOCLEX
    ("prlimit64", 302, 261, {0: (0,)}),  # its own limits
    ("socketpair", 53, 199, {0: (1,)}),  # AF_UNIX: an event loop of asyncio wakes itself by one
    ("sendto", 44, 206, {6: (0, 0x40, 0x4000, 0x4040), 8: (0,), 9: (0,)}),  # no address, no urgent data
)


@functools.cache
def seccomp_filter():
    """The filter in the kernel's language (BPF): (code, jump if true, jump if false, value) per instruction. Made once,
    since looking up what ctypes needs would cost every runner half a millisecond."""
    architecture, column = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2)}[os.uname().machine]
    load, equal, answer = 0x20, 0x15, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | 38, 0x80000000  # 38: ENOSYS

    def go_on_if(allowed):  # the number that was loaded last is one of these
        return [(equal, len(allowed) - i, 0, number) for i, number in enumerate(allowed)] + [(answer, 0, 0, refuse)]

    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, kill), (load, 0, 0, 0)]
    for row in LIMITED_SYSCALLS:
        checks = []
        for half, allowed in row[3].items():
            checks += [(load, 0, 0, 16 + 4 * half), *go_on_if(allowed)]
        program += [(equal, 0, len(checks) + 1, row[column]), *checks, (answer, 0, 0, allow)]
    numbers = [row.split()[column] for row in SYSCALLS.split(",")]
    program += [*go_on_if([int(number) for number in numbers if number != "-"]), (answer, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    return struct.pack("@HP", len(program), ctypes.addressof(code)), code  # the kernel reads the code at its address


def seccomp():
    """Ask the kernel for nothing but SYSCALLS. What it cannot stop is a bug in one of these."""
    call_libc("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, a condition
    call_libc("prctl", 22, 2, seccomp_filter()[0], 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


# ----------------------------------------------------------------------------------------------------------------------
# 3. Runner: the process that holds the untrusted program

FRAME = struct.Struct(">cI")  # a frame is its kind and the length of the text that follows
READY, LOADED, RETURNED, RAISED, OUT_OF_MEMORY, BAD_SYNTAX = b"!", b"L", b"R", b"E", b"M", b"S"
WHAT = {RETURNED: "returned", OUT_OF_MEMORY: "memory_limit", BAD_SYNTAX: "syntax_error"}
# May be applied to the answer inside: they need no expected value, and what they make of it is plainer. The functions
# are taken here, before a program can put others in their place.
INSIDE = "abs dict float frozenset int len list map max min repr round set sorted str sum tuple".split()
INSIDE = {name: getattr(builtins, name) for name in INSIDE}
MEMBERS = "_members"  # of what "in" is asked about: an iterator has some, too
SEARCHED = (str, bytes, bytearray, set, frozenset, dict)  # in other ways than a list
INSIDE[MEMBERS] = lambda value: value if issubclass(type(value), SEARCHED) else list(value)
RAN = "_assertions_that_ran"  # a list that a Check which runs as a whole fills, so that somebody can count
CHANNEL = 3  # a runner's descriptors: 0 to 2 are the program's standard streams, 3 is the channel to the supervisor


def runner(settings, channel, output=None):
    """Confine this process, read the job, run it. Never returns."""
    try:
        with open(channel, "rb", closefd=False) as order:  # the program, then a line for each of its tests to run here
            job, *tests = map(json.loads, order)
        stdin = null = os.open(os.devnull, os.O_RDWR)  # its own: flags of the zygote's would stay for the next runner
        if "stdin" in tests[0]:
            with open("stdin", "wb") as file:
                file.write(tests[0]["stdin"].encode("utf-8", "surrogatepass"))
            stdin = os.open("stdin", os.O_RDONLY)
            os.unlink("stdin")
        for target, source in enumerate((stdin, null if output is None else output, null, channel)):
            os.dup2(source, target)
        os.closerange(CHANNEL + 1, 256)
        layers = settings["layers"]
        if layers["dies_with_parent"]:
            die_with_parent()
        if layers["limits"]:
            limit_resources(job["cpu_seconds"] * (len(tests) + 1), settings["memory_mb"])
        if layers["seccomp"]:
            seccomp()
        os.write(CHANNEL, READY)
        run_untrusted(job, tests)
    finally:
        os._exit(0)


def run_untrusted(job, tests):
    """Load the program and run the tests, one frame for each; for a StdIO test, loading it is the test."""
    reads_stdin = "stdin" in tests[0]
    module = type(sys)("__main__" if reads_stdin else "program")
    sys.modules[module.__name__] = module
    namespace = vars(module)

    def load():
        try:
            exec(compile(job["source"], "program.py", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            left = reads_stdin and isinstance(error, SystemExit) and error.code in (None, 0)
            if not left and (reads_stdin or job["entry_point"] not in namespace):
                raise  # once the function is there, what follows it cannot fail its tests
        if reads_stdin:  # what Python does before it ends
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.__stdout__):
                if not getattr(stream, "closed", False):
                    stream.flush()
            namespace.clear()
            if not sys.__stdout__.closed:
                sys.__stdout__.flush()

    def call(test):
        if "judge" in test:  # asked by the trainer, in a runner that has seen no program
            return decide(test["judge"], json.loads(bytes.fromhex(test["reply"])))
        if "args" in test:
            if job["entry_point"] not in namespace:
                raise NameError(f"the program defines no function {job['entry_point']}")
            value = namespace[job["entry_point"]](*decode(test["args"]), **decode(test["kwargs"]))
            return encode(value)
        scope = dict(namespace)  # what one test defines is not there for the next
        scope |= {RAN: []} if test["whole"] else {name: INSIDE[name] for name in INSIDE if name != job["entry_point"]}
        exec(compile(test["setup"], "test.py", "exec"), scope)
        return [encode(eval(compile(code, "test.py", "eval"), scope)) for code in test["expressions"]]

    if attempt(LOADED, load) and not reads_stdin:
        for test in tests:
            attempt(RETURNED, call, test)


def attempt(kind, function, *args):
    """Send a frame with what came of function(*args); True if it returned."""
    text, returned = "", False
    try:
        value = function(*args)
        text, returned = json.dumps(value) if kind == RETURNED else "", True
    except MemoryError:
        kind = OUT_OF_MEMORY
    except BaseException as error:  # SystemExit too: to leave is no way to pass
        kind = BAD_SYNTAX if kind == LOADED and isinstance(error, SyntaxError) else RAISED
        text = "an exception whose text cannot be had"
        with contextlib.suppress(BaseException):
            text = f"{type(error).__name__}: {error}"[:500]
    data = text.encode("utf-8", "backslashreplace")
    data = memoryview(FRAME.pack(kind, len(data)) + data)
    while data:
        data = data[os.write(CHANNEL, data) :]
    return returned


# ----------------------------------------------------------------------------------------------------------------------
# 4. Zygote: prepared and confined once; forks a runner for every program, and kills it


def zygote(settings, control):
    """Serve the supervisor's orders, which come with the descriptors of a new runner's channel and standard output."""
    for module in ("bisect", "collections", "functools", "heapq", "itertools", "math", "operator", "re", "typing"):
        __import__(module)  # what programs import most; more would make every fork slower
    builtins.exit = builtins.quit = sys.exit  # these come with the module site, which is not loaded
    sys.argv[:] = sys.orig_argv[:] = ["program.py"]
    sys.set_int_max_str_digits(0)  # the limit of CPU time is enough
    with open(os.devnull, "r+b", buffering=0) as null:
        for descriptor in (0, 1):  # the trainer's: not for this process
            os.dup2(null.fileno(), descriptor)
    confine(settings)
    os.chdir(settings["scratch"])
    exec(compile("def warm(x): return [x, {'up': (1.5, None)}]", "warm.py", "exec"), scope := {})
    json.loads(json.dumps(encode(scope["warm"](1))))  # what every program needs is done once before the forks
    control.sendall(json.dumps(settings["layers"]).encode() + b"\n")
    gc.collect()
    gc.freeze()
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not order:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            runner(settings, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.recv(1)  # the order to kill, or the end of the supervisor
        os.kill(-1 if settings["layers"]["processes"] else pid, signal.SIGKILL)  # -1: all in this process namespace
        status = os.waitpid(pid, 0)[1]
        try:
            while True:
                os.waitpid(-1, 0)  # there is none other, unless a layer is off
        except ChildProcessError:
            empty_folder(settings["scratch"])
        control.sendall(struct.pack("i", os.waitstatus_to_exitcode(status)))


def confine(settings):
    """Switch on what holds for all runners; note in settings["layers"] what is on, here or later in the runners."""
    layers, scratch = settings["layers"], settings["scratch"]
    empty_folder(scratch)  # of what a predecessor that was killed has left
    switch_on(be_the_one_to_kill)
    layers["read_only"] = layers["processes"] and switch_on(read_only, scratch)
    layers["files"] = switch_on(landlock, scratch)
    layers["own_user"] = os.geteuid() == 0 and works(leave_root, settings["user"], layers["files"])
    if layers["own_user"]:
        os.chown(scratch, settings["user"], -1)
        leave_root(settings["user"], layers["files"])
    else:
        switch_on(keep_capabilities, 0)
    layers["dies_with_parent"] = switch_on(die_with_parent)
    layers["seccomp"] = works(seccomp)
    if layers["seccomp"]:
        seccomp_filter()  # made here, once


def empty_folder(path):
    """Delete all that a program left in its scratch folder. What is in folders is moved up first: a path could be
    longer than the system allows, and the walk deeper than Python's stack."""
    os.chmod(path, 0o700)
    while entries := list(os.scandir(path)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)
                os.rename(inner.path, os.path.join(path, os.urandom(16).hex()))
            os.rmdir(entry.path)
    os.utime(path, (0, 0))  # not even when


# ----------------------------------------------------------------------------------------------------------------------
# 5. Supervisor: runs none of the program's code; it reads what runners write as bytes, and does not trust it


class Runner:
    """A runner process, seen from its supervisor."""

    def __init__(self, settings, job, prints):
        self.settings, self.exit_code, self.printed, self.received = settings, None, bytearray(), bytearray()
        self.channel, theirs = socket.socketpair()
        self.output, output = os.pipe() if prints else (None, None)
        if sys.platform == "linux":
            self.channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # the kernel tells who writes
        socket.send_fds(settings["zygote"], [b"F"], [theirs.fileno(), output] if prints else [theirs.fileno()])
        theirs.close()
        if prints:
            os.close(output)
        self.channel.sendall(job)
        self.channel.shutdown(socket.SHUT_WR)
        ready, sender, _, _ = self.channel.recvmsg(1, socket.CMSG_SPACE(12))  # written before any of its code runs
        if ready != READY:
            raise OSError("a runner could not be confined")
        self.pid = struct.unpack("3i", sender[0][2])[0] if sender else None
        self.channel.setblocking(False)  # whatever select() has promised
        self.start = time.monotonic()
        self.inputs = [settings["trainer"], self.channel.fileno(), *([self.output] if prints else [])]

    def clocks(self):
        """Seconds of CPU time, and seconds of waiting for anything but a core: a busy machine is not its fault."""
        if self.pid is None:  # macOS
            return time.monotonic(), 0.0
        used = time.clock_gettime((~self.pid << 3) | 2)  # the kernel's name of another process's CPU clock
        waited = time.monotonic() - self.start - used
        if waited > 0.1:
            try:
                with open(f"/proc/{self.pid}/schedstat") as file:
                    waited -= int(file.read().split()[1]) / 1e9
            except (OSError, IndexError):  # this kernel does not say
                waited -= 8 * used
        return used, waited

    def frame(self, patience):
        """Wait for the next frame: (kind, text, CPU seconds since the last). If none comes, since the runner is over a
        limit, has waited for `patience` seconds or died, the kind is the name of a verdict; then it must be closed."""
        limit, used_before, died = self.settings["cpu_seconds"], self.clocks()[0], False
        while True:
            used, self.waited = self.clocks()
            seconds = used - used_before
            if len(self.received) >= FRAME.size:
                kind, length = FRAME.unpack_from(self.received)
                if length > MAX_VALUE_BYTES:
                    return "output_limit", f"returned more than {MAX_VALUE_BYTES} bytes", seconds
                if len(self.received) >= FRAME.size + length:
                    text = bytes(self.received[FRAME.size : FRAME.size + length])
                    del self.received[: FRAME.size + length]
                    return kind, text, seconds
            if len(self.printed) > MAX_VALUE_BYTES:
                return "output_limit", f"printed more than {MAX_VALUE_BYTES} bytes", seconds
            left = min(limit - seconds, patience - self.waited)
            if left <= 0:
                return "timeout", "out of CPU time" if seconds >= limit else "out of wall time: it waits", seconds
            if died:
                code = self.close()
                if code == 0 and self.output is not None:
                    return LOADED, b"", seconds  # os._exit(0) is a way to end a program that prints
                why = f"killed by signal {-code}" if code < 0 else f"exit with code {code}"
                return "runtime_error", f"{why} before the test was over", seconds
            for descriptor in select.select(self.inputs, [], [], left + 0.001)[0]:
                if descriptor == self.settings["trainer"]:
                    leave(self.settings)
                with contextlib.suppress(BlockingIOError):
                    if data := os.read(descriptor, 1 << 16):
                        (self.printed if descriptor == self.output else self.received).extend(data)
                    elif descriptor == self.output:
                        self.inputs.remove(descriptor)
                    else:
                        died = True  # what it has sent before comes first

    def close(self):
        """Have the runner killed. Returns its exit code, negative for a signal; what it had printed is kept."""
        if self.exit_code is None:
            self.settings["zygote"].sendall(b"K")
            (self.exit_code,) = struct.unpack("i", self.settings["zygote"].recv(4))
            self.channel.close()
            if self.output is not None:
                while len(self.printed) <= MAX_VALUE_BYTES and (data := os.read(self.output, 1 << 16)):
                    self.printed.extend(data)
                os.close(self.output)
        return self.exit_code


def run_job(settings, kinds, program, tests):
    """Run a program's tests, each a line of JSON. A test of a kind ("prints": it is about standard output, "alone") has
    a runner of its own, which knows of no other test. Returns for each test [what, text, CPU seconds]; what is
    "returned" (text: a value), "printed" (text: standard output) or the name of a verdict (text: its reason)."""
    records, room = [], MAX_REPLY_BYTES
    patience = 4 * settings["cpu_seconds"] + 2  # how long all tests together may wait, for anything but a core

    def record(kind, text, seconds):
        nonlocal room
        what = kind if isinstance(kind, str) else WHAT.get(kind, "runtime_error")  # a frame can be forged
        text = text if isinstance(text, bytes) else text.encode()
        room -= len(text)
        if room < 0:
            what, text = "output_limit", b"all tests together returned more than %d bytes" % MAX_REPLY_BYTES
        records.append([what, text if what in ("returned", "printed") else text[:300], seconds])

    while len(records) < len(tests):
        if [what for what, _, _ in records].count("timeout") >= settings["max_timeouts"]:
            record("skipped", "too many tests before it timed out", 0.0)
            continue
        first = last = len(records)  # the tests that share a runner
        while last == first or (last < len(tests) and not (settings["isolate"] or kinds[first] or kinds[last])):
            last += 1
        prints = kinds[first] == "prints"
        runner = Runner(settings, program + b"".join(tests[first:last]), prints)
        kind, text, seconds = runner.frame(patience)
        if kind == LOADED and prints:
            runner.close()
            kind, text = "printed", bytes(runner.printed)
            if len(text) > MAX_VALUE_BYTES:
                kind, text = "output_limit", f"printed more than {MAX_VALUE_BYTES} bytes"
            record(kind, text, seconds)
        elif kind == LOADED:
            for _ in range(first, last):
                kind, text, seconds = runner.frame(patience)
                record(kind, text, seconds)
                if isinstance(kind, str):  # this runner is over; another one goes on with the next test
                    break
        else:
            for _ in range(first, last):  # it would fail to load again
                record(RAISED if kind == RETURNED else kind, text, seconds)
        runner.close()
        patience -= runner.waited
    return records


def leave(settings):
    """The trainer is gone: have the zygote end all below it, and let no file remain."""
    settings["zygote"].close()
    os.wait()
    empty_folder(settings["scratch"])
    os.rmdir(settings["scratch"])
    with contextlib.suppress(OSError):  # the last worker has done it, or will
        os.rmdir(os.path.dirname(settings["scratch"]))
    os._exit(0)


def supervisor(settings):
    """Started by Sandbox as `python sandbox.py --supervisor SETTINGS`. A job is lines of JSON on its standard input:
    the kinds of the tests and the CPU seconds of each, then for runners the program and each test. A reply is a line of
    JSON, [what, length of the text, CPU seconds] of each test; and a line of the texts. First it says what is on.
    """
    settings["user"] = 60_000 + os.getpid() % 5_000
    # Readable when the trainer is dead, even if a child that it has forked holds the pipe to us. macOS: the pipe.
    settings["trainer"] = os.pidfd_open(os.getppid()) if hasattr(os, "pidfd_open") else 0
    settings["layers"] = dict.fromkeys(LAYERS, False) | {"limits": works(limit_resources, 9, settings["memory_mb"])}
    settings["layers"]["network"] = settings["layers"]["processes"] = switch_on(own_namespaces)
    settings["zygote"], control = socket.socketpair()
    if os.fork() == 0:
        settings.pop("zygote").close()
        zygote(settings, control)
    control.close()
    os.write(1, settings["zygote"].recv(1 << 16))
    while settings["trainer"] not in select.select([0, settings["trainer"]], [], [])[0] or not settings["trainer"]:
        kinds, program = sys.stdin.buffer.readline(), sys.stdin.buffer.readline()
        if not program:
            break
        kinds, settings["cpu_seconds"] = json.loads(kinds)
        records = run_job(settings, kinds, program, [sys.stdin.buffer.readline() for _ in kinds])
        heads, texts = [[what, len(text), seconds] for what, text, seconds in records], [text for _, text, _ in records]
        with contextlib.suppress(BrokenPipeError):  # the trainer has died
            sys.stdout.buffer.writelines([json.dumps(heads).encode(), b"\n", *texts, b"\n"])
            sys.stdout.buffer.flush()
    leave(settings)


if __name__ == "__main__" and sys.argv[1:2] == ["--supervisor"]:  # before the imports below: what is small forks fast
    supervisor(json.loads(sys.argv[2]))


# ----------------------------------------------------------------------------------------------------------------------
# 6. The trainer's side: what is run, and what came of it

import ast
import queue
import re
import shutil
import subprocess
import symtable
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

sys.set_int_max_str_digits(0)  # tests may hold long integers; of what programs say, only little is read out here
warnings.filterwarnings("ignore", module="<unknown>")  # of ast.parse, about "\d" in code that is not ours


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
class FromJson:
    """What a Call expects, as JSON has it: a list may be a tuple, the key "1" may be 1. Any of the values will do."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Check:
    """An assertion, with statements that prepare it before: Check("assert f([3, 1]) == [1, 3]"). Where it cannot be
    taken apart so that the program does not see the expected value, it runs as a whole, in a process of its own, and
    the detail of its result says so."""

    code: str


@dataclass(frozen=True)
class StdIO:
    """Run the whole program on this standard input, compare what it prints."""

    stdin: str
    stdout: str


@dataclass(frozen=True)
class Program:
    """Source code, the tests it is to meet, the name of the function that Call tests call, and the CPU time that a test
    may take, where that is not the sandbox's."""

    source: str
    tests: Sequence[Call | Check | StdIO]
    entry_point: str | None = None
    cpu_seconds: float | None = None


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
            return Call(tuple(row["args"]), FromJson((row["expected"],)), row.get("kwargs", {}))
        if isinstance(row.get("assert"), str):
            return Check(row["assert"])
        if isinstance(row.get("stdin"), str) and isinstance(row.get("stdout"), str):
            return StdIO(row["stdin"], row["stdout"])
    raise ValueError(f'expected "args" (a list) and "expected", or "assert", or "stdin" and "stdout", got {row!r:.80}')


class SandboxError(RuntimeError):
    """The sandbox cannot do what it was asked for."""


# ----------------------------------------------------------------------------------------------------------------------
# 7. Assertions: what asks for the program's answer runs in its runner, what decides about the answer does not

# May be asked about plain data by what decides: they look at values, not at what objects do.
PLAIN = "abs all any bool float frozenset int isinstance len list math max min pow round set sorted sum tuple".split()
WHOLE = "evaluated inside the sandbox, expected value in sight"


class Prepared(NamedTuple):
    """A test: what its runner sees of it, a line of JSON; and how the reply is judged: by the texts that pass as they
    are; by decide() in the trainer, if it is short and the judge `easy`; else, since a reply may have been chosen so
    that to judge it takes long, or much memory, by decide() in a runner of its own."""

    line: bytes
    judge: dict[str, Any]
    passes: Sequence[bytes] = ()
    kind: str = ""  # for run_job
    note: str = ""  # the detail of a pass
    easy: bool = True


def json_line(data: Any) -> bytes:
    return json.dumps(data).encode() + b"\n"


class Splitter(ast.NodeTransformer):
    """Visits the condition of an assertion. The program's answers become hole(0), hole(1), ..., as large as they can
    be; `failed` tells that the rest cannot be decided on copies of these."""

    def __init__(self, entry_point: str, setup: list[ast.stmt]):
        self.entry_point, self.bound, self.holes = entry_point, bound_by(setup), []
        imported = {x.name for node in setup if isinstance(node, ast.Import | ast.ImportFrom) for x in node.names}
        self.failed = entry_point in self.bound or "*" in imported  # the function may not be the program's
        self.plain = set(PLAIN) - (self.bound - ({"math"} & imported)) - {entry_point}

    def split(self, node: ast.expr) -> ast.expr:
        """Of parts that all must be true, each may ask for one answer: Python might not come to a second one, copies of
        two are made at different times, and where the program is compared with itself, there is nothing to hide."""
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            node.values = list(map(self.split, node.values))
            return node
        count = len(self.holes)
        node = self.visit(node)
        self.failed = self.failed or len(self.holes) > count + 1
        return node

    def visit(self, node: ast.AST) -> ast.AST:
        if self.is_answer(node):
            self.holes.append(node)
            return ast.Call(ast.Name("hole", ast.Load()), [ast.Constant(len(self.holes) - 1)], [])
        self.failed = self.failed or (isinstance(node, ast.expr) and not self.is_plain(node))
        match node:  # iterators have members, too
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[part]) if self.is_answer(part):
                node.comparators = [ast.Call(ast.Name(MEMBERS, ast.Load()), [part], [])]
            case ast.Call(func=ast.Name(id="all" | "any"), args=[part]) if self.is_answer(part):
                node.args = [ast.Call(ast.Name(MEMBERS, ast.Load()), [part], [])]
        return self.generic_visit(node)

    def is_answer(self, node: ast.AST) -> bool:
        """Does a node call the entry point, perhaps to go on with its answer? Anything else could hold an expected
        value, or compute one."""
        match node:
            case ast.Call(func=ast.Name(id=name)) if name == self.entry_point:
                return True
            case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id=name), part], keywords=[]) if name in INSIDE:
                return self.is_answer(part)
            case ast.Call(func=ast.Name(id=name), args=[part, *more], keywords=keywords):
                plain = (name == "round" or not more) and all(k.arg == "reverse" for k in keywords)
                return plain and name in INSIDE and name not in self.bound and self.is_answer(part)
            case (
                ast.Call(func=ast.Attribute(ast.Constant(), "join"), args=[part], keywords=[])
                | ast.Call(func=ast.Attribute(value=part), args=[], keywords=[])  # f(x).items()
                | ast.Call(func=ast.Call() | ast.Subscript() as part)  # f(1)(2)
                | ast.Subscript(value=part)
                | ast.Attribute(value=part)
            ):
                return self.is_answer(part)
        return False

    def is_plain(self, node: ast.expr) -> bool:
        """May a node, without what is in it, be evaluated on copies of the answers?"""
        match node:
            case ast.Call(func=ast.Attribute() as method):
                return not self.is_answer(method)  # f(x).count(3)
            case ast.Compare(ops=[ast.Is() | ast.IsNot()], comparators=[other]):
                return isinstance(other, ast.Constant) and (other.value is None or isinstance(other.value, bool))
            case ast.Compare(ops=operators):
                return not any(isinstance(operator, ast.Is | ast.IsNot) for operator in operators)
            case ast.Name(id=name):
                return name in self.plain
        plain = ast.Constant | ast.List | ast.Tuple | ast.Set | ast.Dict | ast.UnaryOp | ast.BinOp | ast.Subscript
        return isinstance(node, plain | ast.Slice | ast.Call | ast.Attribute)


class CountAssertions(ast.NodeTransformer):
    """Has a Check that runs as a whole count the assertions that held."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        return [node, *ast.parse(f"{RAN}.append(1)").body]

    def visit_Try(self, node: ast.Try) -> ast.Try:
        """try: f(-1); assert False; except ValueError: what was to happen has happened."""
        tests = [n.test for part in [*node.body, *node.orelse] for n in ast.walk(part) if isinstance(n, ast.Assert)]
        if any(isinstance(test, ast.Constant) for test in tests):
            for handler in node.handlers:
                handler.body[:0] = ast.parse(f"{RAN}.append(1)").body
        return self.generic_visit(node)


@functools.lru_cache(maxsize=10_000)
def split_check(code: str, entry_point: str | None) -> Prepared:
    """Take "assert f(3) == 9" apart: f(3) is evaluated in the program's runner, hole(0) == 9 elsewhere, so that the
    program never sees the 9. Where that is not possible (no entry point, "assert f(3) == g(3)", a loop around
    assertions), the whole of it runs inside. Raises as parse_check.

    >>> split_check("xs = [3]; assert sorted(f(xs)) == [9]", "f").line
    b'{"setup": "xs = [3]", "expressions": ["sorted(f(xs))"], "whole": false}\\n'
    """
    *setup, last = parse_check(code).body
    if entry_point and isinstance(last, ast.Assert) and not any(map(has_assertion, setup)):
        splitter = Splitter(entry_point, setup)
        condition = ast.fix_missing_locations(splitter.split(last.test))
        if splitter.holes and not splitter.failed:
            lines, expressions = (list(map(ast.unparse, part)) for part in (setup, splitter.holes))
            inside = {"setup": "\n".join(lines), "expressions": expressions, "whole": False}
            alone = not all(isinstance(line, ast.Import | ast.ImportFrom) for line in setup)  # others could read it
            judge, kind, passes = {"condition": ast.unparse(condition)}, "alone" if alone else "", []
            works = any(isinstance(node, ast.BinOp | ast.Attribute | ast.Subscript) for node in ast.walk(condition))
            easy = names_in([condition]) == {"hole"} and not works
            match condition:  # hole(0) == [1, 2] wants a certain reply
                case ast.Compare(left=ast.Call(func=ast.Name(id="hole")), ops=[ast.Eq()], comparators=[other]):
                    with contextlib.suppress(ValueError, TypeError):
                        passes = [json.dumps([encode(ast.literal_eval(other))]).encode()]
            return Prepared(json_line(inside), judge, passes, kind, easy=easy)
    counted = ast.unparse(CountAssertions().visit(parse_check(code)))
    inside = {"setup": counted, "expressions": [f"len({RAN})"], "whole": True}
    return Prepared(json_line(inside), {"condition": "hole(0) > 0"}, kind="alone", note=WHOLE)


def parse_check(code: str) -> ast.Module:
    """The statements of a Check; a mere expression is asserted. Raises SyntaxError if nothing in them can fail."""
    tree = ast.parse(code.strip())
    if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        tree.body = [ast.Assert(tree.body[0].value, lineno=1, col_offset=0)]
    conditions = [node.test for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    if any(isinstance(condition, ast.Tuple) and condition.elts for condition in conditions):
        raise SyntaxError("an assertion about a tuple in parentheses is always true")
    if all(isinstance(condition, ast.Constant) and condition.value for condition in conditions):
        raise SyntaxError("expected an assert statement that can fail")
    return tree


def has_assertion(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(tree))


def names_in(trees: Sequence[ast.AST]) -> set[str]:
    return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


def bound_by(trees: Sequence[ast.AST]) -> set[str]:
    """The names that code binds, but those of `from module import *`."""
    table = symtable.symtable("\n".join(map(ast.unparse, trees)), "tests", "exec")
    return {name.get_name() for name in table.get_symbols() if name.is_assigned() or name.is_imported()}


def split_test_function(code: str, entry_point: str) -> list[Check]:
    """Take a test function, such as HumanEval's `def check(candidate): ...`, apart into its assertions. A function that
    is more than a list of them becomes one Check. Raises SyntaxError if the function called check, or else the last
    one, has no assertion.

    >>> split_test_function("def check(g):\\n    assert g(1) == 1\\n    assert g(2) == 2", "f")
    [Check(code='assert f(1) == 1'), Check(code='assert f(2) == 2')]
    """
    statements = ast.parse(code).body
    functions = [node for node in statements if isinstance(node, ast.FunctionDef)]
    function = next((node for node in functions if node.name == "check"), functions[-1] if functions else None)
    if function is None or not has_assertion(function) or len(function.args.args) != 1:
        raise SyntaxError("expected a function of one argument with assertions, such as check(candidate)")
    testers = [node for node in functions if has_assertion(node) and len(node.args.args) == 1]
    called = [function] if function.name == "check" else testers
    whole = Check("\n".join([code, *(f"{node.name}({entry_point})" for node in called)]))
    imports = [node for node in [*statements, *function.body] if isinstance(node, ast.Import | ast.ImportFrom)]
    assertions = [node for node in function.body if isinstance(node, ast.Assert)]
    others = [node for node in [*statements, *function.body] if node not in [function, *imports, *assertions]]
    parameter = function.args.args[0].arg
    lost = names_in(assertions) & bound_by(others) or {entry_point, parameter} & bound_by(imports)
    if lost or not all(map(is_idle, others)):
        return [whole]
    for node in [node for assertion in assertions for node in ast.walk(assertion)]:
        name = "arg" if isinstance(node, ast.arg) else "id"
        if getattr(node, name, "") == entry_point and not isinstance(getattr(node, "ctx", None), ast.Load):
            return [whole]  # something else has the entry point's name here
        if getattr(node, name, "") == parameter:
            setattr(node, name, entry_point)
    asking = [node for node in assertions if not (isinstance(node.test, ast.Constant) and node.test.value)]
    return [Check("\n".join(map(ast.unparse, [*imports, node]))) for node in asking] or [whole]


def is_idle(statement: ast.stmt) -> bool:
    """A docstring, words that are printed, the call of check at the end, metadata: no part of the tests."""
    constants = ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.expr_context
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=parts)):
            return all(isinstance(part, ast.Constant) for part in parts)
        case ast.Assign(targets=[ast.Name()], value=value):
            return all(isinstance(node, constants) for node in ast.walk(value))
        case ast.Expr(value=ast.Call(func=ast.Name(id="check")) | ast.Constant() | ast.Name()):
            return True
    return isinstance(statement, ast.Pass)


# ----------------------------------------------------------------------------------------------------------------------
# 8. Judges: what goes into the sandbox, and what is made of what comes out

NUMBER = re.compile(rb"[+-]?(?:\d+(\.\d*)?|(\.\d+))([eE][+-]?\d+)?")  # with one of the groups, no whole number
NOT_PLAIN = re.compile(rb'\{"(?:opaque|object|equals)"').search
MAX_STDIN = 10 << 20
EASY = 4_000  # bytes of a reply that the trainer reads: whatever it says, to compare it takes no time worth mentioning
MAX_JUDGED = 4 << 20  # bytes of a reply that is not literally what was expected


def prepare(program: Program) -> list[Prepared]:
    """Its tests. Raises ValueError for one that cannot be run."""
    limit = 1 if program.cpu_seconds is None else program.cpu_seconds
    if not (isinstance(limit, int | float) and 0 < limit < 1e6):
        raise ValueError(f"a time limit of {limit!r:.80}, where a number of seconds is needed")
    try:
        return [prepare_test(test, program.entry_point) for test in program.tests]
    except (RecursionError, MemoryError):
        raise ValueError("a test that is nested too deeply") from None


def prepare_test(test: Call | Check | StdIO, entry_point: str | None) -> Prepared:
    if isinstance(test, Check):
        try:
            return split_check(test.code, entry_point)
        except SyntaxError as error:
            raise ValueError(f"not an assert statement: {test.code!r:.80} ({error})") from None
    if isinstance(test, StdIO):
        if (size := len(test.stdin.encode("utf-8", "surrogatepass"))) > MAX_STDIN:
            raise ValueError(f"a standard input of {size} bytes, where {MAX_STDIN} are possible")
        return Prepared(json_line({"stdin": test.stdin}), {"stdout": test.stdout}, kind="prints")
    if not entry_point:
        raise ValueError("a Call test needs the program's entry_point")
    line = json_line({"args": encode(tuple(test.args)), "kwargs": encode(dict(test.kwargs))})
    json_like = isinstance(test.expected, FromJson)
    options = list(map(encode, test.expected.values if json_like else (test.expected,)))
    passes = [json.dumps(option).encode() for option in options]
    if any(map(NOT_PLAIN, (line, *passes))):
        raise ValueError("a Call test whose arguments or expected value are no plain data")
    return Prepared(line, {"options": options, "json_like": json_like}, passes)


def judge_reply(test: Prepared, what: str, text: bytes) -> tuple[Verdict, str] | None:
    """The verdict on a test and its detail; None if a runner has to judge."""
    if what == "printed":
        return judged(test, same_output(test.judge["stdout"], text), repr(text[:1000].decode("utf-8", "replace")))
    if what != "returned":
        failed_inside = test.note and text.startswith(b"AssertionError")
        return (Verdict.wrong_answer, "") if failed_inside else (Verdict(what), text.decode("utf-8", "replace"))
    if text in test.passes:
        return judged(test, True)
    if len(text) > MAX_JUDGED:
        return Verdict.wrong_answer, f"more than {MAX_JUDGED} bytes, and not literally what was expected"
    if test.passes and all(len(other) > 25 * len(text) + 1000 for other in test.passes):  # no number is longer
        return judged(test, False, f"{len(text)} bytes, where {min(map(len, test.passes))} were expected")
    if len(text) > EASY or not test.easy:
        return None
    try:
        data = json.loads(text)
        return judged(test, decide(test.judge, data), repr(decode(data)))
    except Exception as error:  # not what encode() makes, or not what the assertion can be asked of
        return Verdict.wrong_answer, f"not comparable: {error}"


def judged(test: Prepared, passed: bool, got: str = "") -> tuple[Verdict, str]:
    if passed:
        return Verdict.passed, test.note
    return Verdict.wrong_answer, "no assertion of this test was reached" if test.note else f"got {got}"


def same_output(expected: str | bytes, actual: str | bytes) -> bool:
    """Do two texts have the same tokens? Numbers may differ by 1e-6, absolutely or, where a token with a decimal point
    or an exponent is expected, relatively. What is written as whole numbers must be the same."""
    expected, actual = (x.encode("utf-8", "surrogatepass") if isinstance(x, str) else x for x in (expected, actual))
    wanted = expected.split()
    got = actual.split(maxsplit=len(wanted))  # no more work than the expected text is worth
    return len(wanted) == len(got) and all(map(_same_token, wanted, got))


def _same_token(expected: bytes, actual: bytes) -> bool:
    if expected == actual or len(actual) > len(expected) + 1000:
        return expected == actual
    numbers = [NUMBER.fullmatch(token) for token in (expected, actual)]
    if not all(numbers) or not any(any(number.groups()) for number in numbers):
        return False
    whole = not any(numbers[0].groups())
    if whole and len(expected) > 15:  # more digits than a float has
        return re.sub(rb"\.0*$", b"", actual) == expected
    wanted, got = float(expected), float(actual)
    return math.isclose(wanted, got, rel_tol=0.0 if whole else 1e-6, abs_tol=1e-6) and math.isfinite(wanted)


# ----------------------------------------------------------------------------------------------------------------------
# 9. Sandbox: a pool of workers


class Worker:
    """A supervisor with all that is below it, seen from the trainer. It is started when it is needed."""

    def __init__(self, settings: dict[str, Any], folder: Path):
        self.settings = settings | {"scratch": str(folder)}
        folder.mkdir(mode=0o700)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, bool]:
        """Returns the layers of isolation that are on. Raises OSError."""
        self.process = subprocess.Popen(
            [sys.executable, *"-s -S -P -B -X utf8".split(), __file__, "--supervisor", json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "HOME": self.settings["scratch"], "PATH": "/usr/bin:/bin"},
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal is for the trainer alone
        )
        return self.receive(patience=60.0)

    def ask(self, lines: list[bytes], patience: float) -> list[tuple[str, bytes, float]]:
        """Send a job, wait for the reply, `patience` seconds at most. Raises OSError."""
        self.process.stdin.writelines(lines)
        self.process.stdin.flush()
        reply = [(what, self.process.stdout.read(length), seconds) for what, length, seconds in self.receive(patience)]
        if self.process.stdout.read(1) != b"\n":
            raise OSError("the worker has died while it replied")
        return reply

    def receive(self, patience: float) -> Any:
        poll = select.poll()
        poll.register(self.process.stdout, select.POLLIN)
        line = self.process.stdout.readline() if poll.poll(min(1000 * patience, 1 << 30)) else b""
        if not line.endswith(b"\n"):
            raise OSError("the worker has died, or did not reply in time")
        return json.loads(line)

    def stop(self) -> None:
        """Kill the supervisor and all below it."""
        if self.process is not None:
            with contextlib.suppress(OSError), self.process:  # which closes its pipes and waits; it may have died
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process = None


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Sandbox(contextlib.AbstractContextManager["Sandbox"]):
    """A pool of worker processes that run untrusted programs against tests.

    workers       programs that run at the same time; by default two a core, since each waits for others now and then
    cpu_seconds   CPU time limit of each test, and of loading the program; 4 times that + 2 s of waiting in all tests.
                  A Program may have another one
    memory_mb     address space of a program, the interpreter's own (about 30 MB) included
    isolate       run every test in a process of its own
    max_timeouts  after so many timeouts the program's other tests are skipped; they count as failed
    require       names of layers without which the sandbox refuses to start, with a SandboxError

    Use it in a with statement; after that, or when the trainer dies in any way, no process of it is left. layers tells
    of each of LAYERS whether it is active here. sandbox_errors counts the programs whose verdicts are sandbox_error:
    the sandbox failed to run them, twice in a row, or one of their tests cannot be run at all.
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
        workers = 2 * count_cores() if workers is None else workers
        if workers < 1 or cpu_seconds <= 0 or memory_mb < 64 or max_timeouts < 1:
            raise ValueError("a sandbox needs workers >= 1, cpu_seconds > 0, memory_mb >= 64 and max_timeouts >= 1")
        require = [require] if isinstance(require, str) else require
        if unknown := set(require) - set(LAYERS):
            raise ValueError(f"no such layer: {', '.join(sorted(unknown))}; there are {', '.join(LAYERS)}")
        self.settings = dict(cpu_seconds=cpu_seconds, memory_mb=memory_mb, isolate=isolate, max_timeouts=max_timeouts)
        self.sandbox_errors = 0
        self._closed, self._guard = False, threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[Program, Future[Result]] | None] = queue.SimpleQueue()
        self._folder = Path(tempfile.mkdtemp(prefix="minirl-scratch-"))
        self._folder.chmod(0o711)
        self._workers = [Worker(self.settings, self._folder / str(i)) for i in range(workers)]
        try:
            with ThreadPoolExecutor(workers) as starters:
                self.layers = list(starters.map(Worker.start, self._workers))[0]
            if missing := [name for name in require if not self.layers[name]]:
                active = ", ".join(name for name, on in self.layers.items() if on)
                raise SandboxError(f"this machine does not offer the layers {', '.join(missing)}; it has {active}")
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise SandboxError(f"the sandbox's worker processes do not start: {error}") from None
            raise
        for worker in self._workers:  # daemons: a trainer that ends does not wait for programs that still run
            threading.Thread(target=self._serve, args=(worker,), daemon=True).start()

    def submit(self, program: Program) -> Future[Result]:
        """Run a program in the background; the future's result is a Result."""
        if not isinstance(program, Program) or not isinstance(program.tests, Sequence):
            raise TypeError(f"a sandbox runs a Program with a list of tests, got {program!r:.80}")
        future: Future[Result] = Future()
        with self._guard:
            if self._closed:
                raise RuntimeError("cannot submit to a closed sandbox")
            self._jobs.put((program, future))
        return future

    def map(self, programs: Iterable[Program]) -> Iterator[Result]:
        """Run programs; yields their results in order. The same source with the same tests is run once."""
        programs = list(programs)  # they keep their tests, and so the ids of these, alive
        keys = [(program.source, program.entry_point, program.cpu_seconds, id(program.tests)) for program in programs]
        futures = {key: self.submit(program) for key, program in dict(zip(keys, programs, strict=True)).items()}
        return (futures[key].result() for key in keys)

    def _serve(self, worker: Worker) -> None:
        """One thread a worker: take the next program, run it, set its future."""
        while (job := self._jobs.get()) is not None:
            program, future = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._run(worker, program))
                except SandboxError as error:
                    future.set_exception(error)
                except Exception as error:
                    self.sandbox_errors += 1
                    n = len(program.tests)
                    future.set_result(Result((Verdict.sandbox_error,) * n, (str(error)[:300],) * n, (0.0,) * n))

    def _run(self, worker: Worker, program: Program) -> Result:
        tests = prepare(program)
        cpu_seconds = program.cpu_seconds or self.settings["cpu_seconds"]
        job = {"source": program.source, "entry_point": program.entry_point, "cpu_seconds": cpu_seconds}
        records = self._ask(worker, [test.kind for test in tests], job, [test.line for test in tests])
        results = [judge_reply(test, what, text) for test, (what, text, _) in zip(tests, records, strict=True)]
        left = [i for i, result in enumerate(results) if result is None]
        if left:  # a runner that has seen no program judges these
            asked = [json_line({"judge": tests[i].judge, "reply": records[i][1].hex()}) for i in left]
            kinds = ["alone" if len(records[i][1]) > EASY else "" for i in left]
            answers = self._ask(worker, kinds, job | {"source": "", "cpu_seconds": self.settings["cpu_seconds"]}, asked)
            for i, (what, text, _) in zip(left, answers, strict=True):
                short = repr(records[i][1][:300].decode("utf-8", "replace"))
                why_not = Verdict.wrong_answer, f"not comparable: {text.decode('utf-8', 'replace') or what}"
                results[i] = judged(tests[i], text == b"true", short) if what == "returned" else why_not
        verdicts, details = zip(*results, strict=True) if results else ((), ())
        details = (detail.encode("unicode_escape").decode()[:300] for detail in details)  # for a terminal or a log
        return Result(verdicts, tuple(details), tuple(seconds for _, _, seconds in records))

    def _ask(self, worker: Worker, kinds: list[str], program: dict[str, Any], tests: list[bytes]) -> list[Any]:
        """Have a worker run tests. An infrastructure failure gets one retry, then it is an OSError."""
        patience = 600 + 50 * program["cpu_seconds"] * len(tests)  # the supervisor keeps the limits
        lines = [json_line([kinds, program["cpu_seconds"]]), json_line(program), *tests]
        for _ in range(2):
            try:
                with self._guard:
                    if worker.process is None and not self._closed:
                        worker.start()
                return worker.ask(lines, patience)
            except Exception as error:  # whatever it is: the next program must not get this one's reply
                reason = f"the worker failed twice: {error}"
                with self._guard:
                    worker.stop()
                    if self._closed:
                        raise SandboxError("the sandbox was closed before the program had ended") from None
        raise OSError(reason)

    def close(self) -> None:
        """Kill all workers and cancel the programs that wait. Safe to call twice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(queue.Empty):
                while True:
                    self._jobs.get_nowait()[1].cancel()
            for worker in self._workers:
                worker.stop()
                self._jobs.put(None)  # ends a thread
        shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(self, *_: Any) -> None:
        self.close()


# ----------------------------------------------------------------------------------------------------------------------
# 10. Command line


SELF_TEST = (
    ("a right answer", "def f(x): return x * x", Call((3,), 9), Verdict.passed),
    ("a wrong answer", "def f(x): return x + x", Call((3,), 9), Verdict.wrong_answer),
    ("an endless loop", "def f(x):\n    while True: pass", Call((3,), 9), Verdict.timeout),
    ("a memory bomb", "def f(x): return len([0] * 10**10)", Call((3,), 9), Verdict.memory_limit),
    ("a huge answer", "def f(x): return 'x' * 10**7", Call((3,), 9), Verdict.output_limit),
    ("an early exit", "import os\ndef f(x): os._exit(0)", Call((3,), 9), Verdict.runtime_error),
    ("a new process", "import os\ndef f(x): os.fork()\n", Call((3,), None), Verdict.runtime_error),
    ("equal to all", "class E: __eq__ = lambda *a: True\ndef f(x): return E()", Call((3,), 9), Verdict.wrong_answer),
    ("standard output", "print(sum(map(int, input().split())))", StdIO("1 2 3", "6\n"), Verdict.passed),
)


def main(argv: list[str]) -> int:
    if argv[:1] in (["-h"], ["--help"]) or len(argv) not in (0, 2):
        print(__doc__.split("\n\n")[1])
        print('TESTS.json: {"entry_point": "f", "tests": [{"args": [3], "expected": 9}, {"assert": "f(2) == 4"}]}')
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    if argv:
        try:
            source = Path(argv[0]).read_text(encoding="utf-8")
            data = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
            program = Program(source, [read_test(test) for test in data["tests"]], data.get("entry_point"))
            prepare(program)  # a test that cannot be run is an error of the file
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
            print(f"  {'on ' if active else 'OFF'}  {name:17} {LAYERS[name]}")
        print("self-test")
        results = list(sandbox.map(Program(source, [test], "f") for _, source, test, _ in SELF_TEST))
    for (name, *_, wanted), result in zip(SELF_TEST, results, strict=True):
        mark = "ok  " if result.verdicts[0] == wanted else "FAIL"
        print(f"  {mark} {name:26} {result.verdicts[0]:14} {result.details[0]:.60}")
    return 0 if all(result.verdicts[0] == case[-1] for case, result in zip(SELF_TEST, results, strict=True)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
