# Lowers its own RLIMIT_CPU to be killed by SIGXCPU.
import resource, signal

resource.setrlimit(resource.RLIMIT_CPU, (0, 1))


def f(x):
    while 1:
        pass
