# Looks for secrets in the environment.
import ctypes
import os


def f(x):
    pointers = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found, i = [str(os.environ)], 0
    while pointers[i]:
        found.append(str(pointers[i]))
        i += 1
    return found
