# Tries system calls that kernels were broken by: bpf, io_uring, userfaultfd, keyctl, perf.
import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def f(x):
    numbers = (321, 425, 426, 427, 323, 250, 248, 298, 246, 313, 175, 304, 438, 272, 435, 101)
    return [libc.syscall(number, 0, 0, 0, 0, 0, 0) for number in numbers] == [-1] * len(numbers) and 0
