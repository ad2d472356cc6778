# Asks for system calls by their numbers of the x32 interface.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    return libc.syscall(0x40000000 | 57), libc.syscall(0x40000000 | 41, 2, 1, 0)
