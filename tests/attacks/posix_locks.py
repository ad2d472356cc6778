# A million record locks: kernel memory beyond RLIMIT_AS, slow exit.
import fcntl

file = open("l", "wb")


def f(x):
    for i in range(2000000, 0, -2):
        fcntl.lockf(file, fcntl.LOCK_EX, 1, i)
