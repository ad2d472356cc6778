# Jumps to a 32-bit code segment by a far return and forks there by int 0x80 and sysenter.
import ctypes


def f(x):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    base = libc.mmap(0x10000000, 8192, 7, 0x32, -1, 0)
    low = bytes.fromhex("b802000000cd80b8020000000f34ebfe")  # mov eax,2; int 0x80; mov eax,2; sysenter
    ctypes.memmove(base + 0x800, low, len(low))
    code = (
        bytes.fromhex("48c7c4f01700106a2368") + (base + 0x800).to_bytes(4, "little") + bytes.fromhex("48cb")
    )  # mov rsp; push 0x23; push; retfq
    ctypes.memmove(base, code, len(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(base)()
