# Changes Python's library and libc in memory that others share: writable mappings, pwrite, truncate, MADV_REMOVE.
import ctypes, mmap, os


def f(x):
    out = []
    for path in (os.__file__, "/lib/x86_64-linux-gnu/libc.so.6"):
        fd = os.open(path, os.O_RDONLY)
        for g in (
            lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, 3),
            lambda: os.pwrite(fd, b"x", 0),
            lambda: os.ftruncate(fd, 0),
            lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, 1).madvise(9),
            lambda: os.open(path, os.O_WRONLY),
            lambda: os.rename(path, "x"),
            lambda: ctypes.CDLL(None).mprotect(
                ctypes.c_void_p(ctypes.CDLL(None).mmap(None, 4096, 1, 1, fd, 0)), 4096, 3
            ),
        ):
            try:
                out.append(g())
            except BaseException as e:
                out.append(getattr(e, "errno", type(e).__name__))
    raise ValueError(repr(out))
