# Has the kernel send signals for it: fcntl(F_SETOWN), ioctl(FIOSETOWN).
import array
import fcntl
import os
import signal


def f(x):
    for pid in (CANARY_PID, SUPERVISOR_PID, TRAINER_PID, 1):
        r, w = os.pipe()
        for act in (
            lambda: fcntl.fcntl(r, 8, pid),
            lambda: fcntl.fcntl(r, 10, signal.SIGKILL),
            lambda: fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC),
            lambda: fcntl.ioctl(r, 0x8901, array.array("i", [pid])),
        ):
            try:
                act()
            except OSError:
                pass
        os.write(w, b"x")
    return 0
