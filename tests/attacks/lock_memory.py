# Memory in the kernel by a million POSIX record locks, one a byte, on a scratch file.
import fcntl, os, struct, time


def f(x):
    fd, n = os.open("locks", os.O_CREAT | os.O_RDWR), 0
    end = time.process_time() + 0.8
    free = memory()
    offset = 1 << 40
    while time.process_time() < end:
        fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, offset, 1, 0))
        offset -= 2
        n += 1
    raise ValueError(f"{n} locks, {(free - memory()) >> 20} MB")


def memory():
    import ctypes

    info = (ctypes.c_ulong * 16)()
    ctypes.CDLL(None).sysinfo(info)
    return info[5]
