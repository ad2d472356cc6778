# Tries to stop, kill, alarm itself and its group.
import os, signal, time, ctypes


def f(x):
    for s in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN):
        for g in (
            lambda: os.kill(os.getpid(), s),
            lambda: os.kill(1, s),
            lambda: os.kill(-1, s),
            lambda: os.killpg(0, s),
            lambda: signal.raise_signal(s),
            lambda: signal.pthread_kill(1, s),
        ):
            try:
                g()
            except Exception:
                pass
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    time.sleep(9)
