# Ignores SIGXCPU, catches SIGALRM for ever, restarts itself in the handler.
import signal, time, resource

for s in range(1, 65):
    try:
        signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.signal(signal.SIGALRM, lambda *a: signal.setitimer(signal.ITIMER_REAL, 1e-6))
signal.setitimer(signal.ITIMER_REAL, 1e-6)


def f(x):
    while 1:
        try:
            while 1:
                pass
        except BaseException:
            pass
