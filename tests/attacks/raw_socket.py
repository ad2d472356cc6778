# Connects by raw system calls.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


import struct


def f(x):
    s = libc.syscall(41, 2, 1, 0)
    address = struct.pack("<H", 2) + struct.pack(">H", TCP_PORT) + bytes([127, 0, 0, 1]) + bytes(8)
    return s, libc.syscall(42, s, address, 16), libc.syscall(41, 16, 3, 0), libc.syscall(41, 17, 3, 0)
