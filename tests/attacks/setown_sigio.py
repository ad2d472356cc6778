# Has the kernel send signals: F_SETOWN, F_SETOWN_EX, F_SETSIG, O_ASYNC, FIOASYNC, SIOCSPGRP, leases, dnotify, F_SETPIPE_SZ.
import ctypes, fcntl, os, socket

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = []
    a, b = socket.socketpair()
    for fd in (3, 2, a.fileno(), os.open(".", os.O_RDONLY)):
        for pid in (SUPERVISOR_PID, CANARY_PID, 1, -1):
            for command, arg in (
                (8, pid),
                (15, (ctypes.c_int * 2)(1, pid)),
                (10, 9),
                (4, 0o20000),
                (1024, 1),
                (1026, 0x8000003F),
                (1031, 1 << 20),
                (38, bytes(40)),
                (1033, 4),
                (0x1_0000_0008, pid),
            ):
                out.append(
                    (command, libc.syscall(72, ctypes.c_long(fd), ctypes.c_long(command), arg), ctypes.get_errno())
                )
            for request in (0x5452, 0x8902, 0x8901):
                out.append(
                    (request, libc.syscall(16, fd, request, ctypes.byref(ctypes.c_int(pid))), ctypes.get_errno())
                )
    b.send(b"x" * 10)
    raise ValueError(repr(sorted({row[1:] + row[:1] for row in out})))
