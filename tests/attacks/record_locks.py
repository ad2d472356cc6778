# Tells a program in another worker a number by read locks on bytes of Python's own os.py, seen there by F_GETLK.
# CHANNEL: 256, two workers
import fcntl, os, struct, time

fd = os.open(os.__file__, os.O_RDONLY)


def taken(i):
    kind = struct.unpack(
        "hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 1000 + 2 * i, 1, 0))
    )[0]
    return kind != fcntl.F_UNLCK


def f(x):
    if ROLE == "write":
        for i in range(9):
            if i == 8 or MESSAGE >> i & 1:
                fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 1000 + 2 * i, 1, 0))
        time.sleep(1.5)
    else:
        for _ in range(300):
            if taken(8):
                return sum(1 << i for i in range(8) if taken(i))
            time.sleep(0.01)
