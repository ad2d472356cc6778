# An opaque value whose class has a name of 9 MB, of terminal escapes, of a lone surrogate.
class M(type):
    __name__ = property(lambda c: ("x" * 9000000, "\x1b]0;owned\a\n", "\ud800")[c.n])


def f(x):
    f.n = getattr(f, "n", -1) + 1
    return M("A", (), {"n": f.n if f.n < 3 else 2})()


# TESTS: [Call((1,), SECRET), Call((2,), SECRET), Call((3,), SECRET)]
