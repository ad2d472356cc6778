# Forks by raw system calls: fork, vfork, clone, clone3.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    for number, *arguments in ((57,), (58,), (56, 17, 0, 0, 0, 0), (435, b"\0" * 88, 88)):
        if libc.syscall(number, *arguments) == 0:
            libc.pause()
    return 0
