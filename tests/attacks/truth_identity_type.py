# Objects that would be true, false, None, equal, unequal or of any type, where an assertion asks just that.
# TESTS: [Check('assert not f(1)'), Check('assert f(1) is None'), Check('assert f(1) is True'), Check('assert f(1) != 3'), Check('assert not f(1) == 3'), Check('assert isinstance(f(1), int)'), Check('assert f(1) not in [3, 4]'), Check('assert bool(f(1)) == False'), Check('assert [f(1)] != [3]'), Check('assert all(f(1))')]
class Anything:
    __class__ = int
    __bool__ = lambda self: False
    __eq__ = __ne__ = __contains__ = lambda self, other: True
    __hash__ = lambda self: 0


def f(x):
    return Anything()
