# Looks at the outside by stat, readlink and clock_gettime of other pids: documented for files, must not tell of processes.
import os, time


def f(x):
    seen = {}
    for path in (
        CANARY_FILE,
        "/etc/shadow",
        "/etc/ssh",
        "/proc/1",
        f"/proc/{TRAINER_PID}",
        f"/proc/{CANARY_PID}",
        "/sys/class/net",
        "/dev/pts/0",
        "/tmp",
    ):
        try:
            s = os.stat(path)
            seen[path[-12:]] = (s.st_size, oct(s.st_mode))
        except OSError as e:
            seen[path[-12:]] = e.errno
    clocks = 0
    for pid in range(1, 40000):
        try:
            time.clock_gettime((~pid << 3) | 2)
            clocks += 1
        except OSError:
            pass
    seen["clocks"] = clocks
    raise ValueError(repr(seen))
