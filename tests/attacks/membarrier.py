# Sleeps in the kernel by membarrier, without CPU time.
import ctypes


def f(x):
    l = ctypes.CDLL(None)
    while 1:
        l.syscall(324, 1, 0, 0)
