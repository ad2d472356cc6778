# Memory beyond the limit by a deep native stack, shared anonymous mappings, mremap copies and huge pages.
import mmap, ctypes


def f(x):
    total, keep = 0, []
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mremap.restype = ctypes.c_void_p
    for flags in (0x21, 0x22, 0x40022, 0x122, 0x8021, 0x2022):
        while True:
            p = libc.mmap(None, ctypes.c_size_t(32 << 20), 3, flags, -1, 0)
            if p in (None, ctypes.c_void_p(-1).value):
                break
            ctypes.memset(p, 1, 32 << 20)
            total += 32
            q = libc.mremap(ctypes.c_void_p(p), ctypes.c_size_t(0), ctypes.c_size_t(32 << 20), 1)
            total += 0 if q in (None, ctypes.c_void_p(-1).value) else 32
    raise ValueError(str(total))
