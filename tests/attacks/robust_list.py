# Registers a robust list, a child-tid address and an rseq area that point at wild addresses, then dies.
import ctypes, os


def f(x):
    libc = ctypes.CDLL(None)
    out = [
        libc.syscall(273, ctypes.c_void_p(0xFFFFFFFF81000000), 24),
        libc.syscall(218, ctypes.c_void_p(0xFFFFFFFF81000000)),
        libc.syscall(334, ctypes.c_void_p(0x1000), 32, 0, 0x53053053),
        libc.syscall(158, 0x1001, ctypes.c_void_p(0xFFFFFFFF81000000)),
    ]
    if x == 2:
        os._exit(0)
    raise ValueError(repr(out))
