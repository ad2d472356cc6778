# Deletes, renames, truncates, replaces and re-permits the user's file.
import os


def f(x):
    for act in (
        lambda: os.truncate(CANARY_FILE, 0),
        lambda: open(CANARY_FILE, "w"),
        lambda: os.chmod(CANARY_FILE, 0),
        lambda: os.rename(CANARY_FILE, CANARY_FILE + "x"),
        lambda: os.link(CANARY_FILE, "link"),
        lambda: os.symlink(CANARY_FILE, "symlink"),
        lambda: os.unlink(CANARY_FILE),
        lambda: os.utime(CANARY_FILE, (0, 0)),
        lambda: os.setxattr(CANARY_FILE, "user.x", b"x"),
    ):
        try:
            act()
        except OSError:
            pass
    return 0
