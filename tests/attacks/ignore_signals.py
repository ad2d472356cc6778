# Ignores and handles every signal, SIGXCPU too, and arms all timers.
import signal


def f(x):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN if number % 2 else lambda *a: None)
        except (OSError, ValueError):
            pass
    signal.setitimer(signal.ITIMER_REAL, 1e-5, 1e-5)
    while True:
        pass
