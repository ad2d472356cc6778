# Layers of nested epolls, each watching all of the next layer.
import select


def f(x):
    L = [[select.epoll() for _ in range(14)] for _ in range(4)]
    for a, b in zip(L, L[1:]):
        for p in a:
            for q in b:
                try:
                    p.register(q.fileno())
                except OSError:
                    pass
    while 1:
        pass
