# Exceptions whose text never ends, raises, is giant, or whose class lies.
class A(Exception):
    def __str__(s):
        while 1:
            pass


class B(Exception):
    def __str__(s):
        return "x" * (400 << 20)


class C(Exception):
    def __str__(s):
        raise s


def f(x):
    raise (A, B, C)[x % 3]()
