# Reads environ, argv, sys.orig_argv, libc environ for the secret.
import os, sys, ctypes


def f(x):
    e = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    s = repr((dict(os.environ), sys.argv, sys.orig_argv))
    i = 0
    while e[i]:
        s += e[i].decode()
        i += 1
    return int(os.environ["MINIRL_SECRET"]) if "MINIRL_SECRET" in os.environ else s
