# Changes the canary: write, append, truncate, rename over it, unlink, O_TRUNC|O_PATH, chmod, utime, xattr, link, mkdir.
import os, ctypes

libc = ctypes.CDLL(None)


def f(x):
    out = []

    def attempt(g):
        try:
            out.append(g())
        except BaseException as e:
            out.append(type(e).__name__ + str(getattr(e, "errno", "")))

    open("mine", "w").write("gone")
    for g in (
        lambda: open(CANARY_FILE, "w"),
        lambda: open(CANARY_FILE, "a"),
        lambda: os.truncate(CANARY_FILE, 0),
        lambda: os.rename("mine", CANARY_FILE),
        lambda: os.unlink(CANARY_FILE),
        lambda: os.chmod(CANARY_FILE, 0),
        lambda: os.utime(CANARY_FILE),
        lambda: os.setxattr(CANARY_FILE, "user.x", b""),
        lambda: os.link(CANARY_FILE, "hard"),
        lambda: os.symlink(CANARY_FILE, "soft"),
        lambda: os.mkdir("d"),
        lambda: os.mkfifo("p"),
        lambda: os.chown(CANARY_FILE, 1, 1),
        lambda: os.open(CANARY_FILE, os.O_PATH | os.O_TRUNC),
        lambda: os.rename(CANARY_FILE, "mine"),
        lambda: os.open(os.path.dirname(CANARY_FILE), os.O_TMPFILE | os.O_RDWR),
        lambda: libc.renameat2(-100, b"mine", -100, CANARY_FILE.encode(), 2),
        lambda: open(os.__file__, "a"),
        lambda: open("/dev/shm/left", "w"),
        lambda: open("/tmp/left", "w"),
    ):
        attempt(g)
    raise ValueError(repr(out))
