# Looks for the secret in the environment, in the C environment, in argv and in all mapped memory above the stack.
import ctypes, os, sys


def f(x):
    libc = ctypes.CDLL(None)
    here = ctypes.c_char_p.in_dll(libc, "__progname").value
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    i, found = 0, []
    while environ[i]:
        found.append(environ[i])
        i += 1
    start = ctypes.cast(environ[0], ctypes.c_void_p).value
    block = ctypes.string_at(start, 600)
    raise ValueError(
        repr(
            (
                os.environ.get("MINIRL_SECRET"),
                [e for e in found if b"SECRET" in e],
                b"SECRET-" in block,
                found,
                sys.orig_argv[-1][:80],
            )
        )
    )
