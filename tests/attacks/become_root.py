# Takes another user id, or rights.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


import os


def f(x):
    for act in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0])):
        try:
            act()
        except OSError:
            pass
    libc.capset(b"\x22\x05\x08\x20" + b"\0" * 4, b"\xff" * 24)
    return open("/etc/shadow").read(), os.getuid()
