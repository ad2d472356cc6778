# Makes a process or thread that outlives it by raw fork, vfork, clone, clone3, with and without CLONE_PARENT, CLONE_NEWUSER, CLONE_UNTRACED.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    out = []
    for number, args in (
        (57, ()),
        (58, ()),
        (56, (17, 0, 0, 0, 0)),
        (56, (0x8000 | 17, 0, 0, 0, 0)),
        (56, (0x10000000 | 17, 0, 0, 0, 0)),
        (56, (0x50F00, 0, 0, 0, 0)),
        (435, ((ctypes.c_uint64 * 11)(0, 0, 0, 0, 17), 88)),
        (435, (None, 0)),
        (272, (0x10000000,)),
        (308, (3, 0)),
        (59, (b"/bin/sh", None, None)),
        (322, (3, b"", None, None, 0x1000)),
    ):
        pid = libc.syscall(number, *args)
        if pid == 0:
            while True:
                pass
        out.append((number, pid, ctypes.get_errno()))
    import threading

    try:
        threading.Thread(target=lambda: 1).start()
    except BaseException as e:
        out.append(repr(e))
    raise ValueError(repr(out))
