# Crashes by a null pointer with 300 MB of memory: is there a core file or a slow helper?.
import ctypes, resource


def f(x):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
    except ValueError:
        pass
    junk = b"x" * (300 << 20)
    ctypes.string_at(0)
