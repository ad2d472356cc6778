# Interrupts the other processors by membarrier, and waits for RCU, for all its wall time.
import ctypes, time


def f(x):
    libc, out = ctypes.CDLL(None), {}
    for command in (1, 4, 2, 16, 8, 64, 32):
        end, n = time.monotonic() + 0.1, 0
        r = 0
        while time.monotonic() < end:
            r = libc.syscall(324, command, 0, 0)
            n += 1
        out[command] = (r, n)
    raise ValueError(repr(out))
