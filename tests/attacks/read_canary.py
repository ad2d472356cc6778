# Reads the canary by absolute path, relative path, O_PATH, openat2, chdir, fchdir, mmap, truncation and /proc/self/root.
import os, ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = []

    def attempt(g):
        try:
            out.append(g())
        except BaseException as e:
            out.append(type(e).__name__ + str(getattr(e, "errno", "")))

    folder, name = os.path.split(CANARY_FILE)
    attempt(lambda: open(CANARY_FILE).read())
    attempt(lambda: open("../" * 9 + CANARY_FILE).read())
    attempt(lambda: (os.chdir(folder), open(name).read()))
    attempt(lambda: open(f"/proc/self/root{CANARY_FILE}").read())

    def by_path_descriptor():
        fd = os.open(CANARY_FILE, os.O_PATH)
        attempt(lambda: open(f"/proc/self/fd/{fd}").read())
        attempt(lambda: open(f"/dev/fd/{fd}").read())
        attempt(lambda: os.read(fd, 100))
        attempt(lambda: os.pread(fd, 100, 0))
        attempt(lambda: libc.syscall(437, fd, b"", (ctypes.c_uint64 * 3)(0, 0, 0), 24))
        attempt(lambda: libc.mmap(None, 4096, 1, 2, fd, 0))
        attempt(lambda: os.fstat(fd).st_size)

    attempt(by_path_descriptor)
    attempt(lambda: os.listdir(folder))
    raise ValueError(repr(out))
