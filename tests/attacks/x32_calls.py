# Calls the kernel by x32 numbers (bit 30 set) and with numbers beyond 32 bits.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = set()
    for number in (57, 62, 41, 42, 56, 59, 520, 545, 101, 524):
        for high in (0x40000000, 0xFFFFFFFF40000000, 0x1_0000_0000, 0xFFFFFFFF_00000000, 0x80000000):
            out.add((libc.syscall(ctypes.c_long(high | number), 0, 0, 0, 0), ctypes.get_errno()))
    raise ValueError(repr(out))
