# Tells a program in another worker a number: waits on a futex in a page of libc's file, which a wake there counts.
# CHANNEL: 256, two workers
import ctypes, mmap, os, time

libc = ctypes.CDLL(None)
library = next(
    p for p in ("/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libc.so.6", "/lib64/libc.so.6") if os.path.exists(p)
)
fd = os.open(library, os.O_RDONLY)
libc.mmap.restype = ctypes.c_void_p
base = libc.mmap(None, 1 << 20, 1, 1, fd, 0)


def word(i):
    return base + 4096 + 4 * i


def f(x):
    if ROLE == "write":
        end = time.monotonic() + 2
        while time.monotonic() < end:
            address = word(MESSAGE)
            libc.syscall(
                202,
                ctypes.c_void_p(address),
                0,
                ctypes.c_uint32.from_address(address).value,
                (ctypes.c_long * 2)(0, 200_000_000),
                0,
                0,
            )
    else:
        for _ in range(300):
            for i in range(256):
                if libc.syscall(202, ctypes.c_void_p(word(i)), 1, 1, 0, 0, 0) > 0:
                    return i
            time.sleep(0.01)
