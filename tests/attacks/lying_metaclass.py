# A metaclass whose __name__, __mro__, __instancecheck__ and __eq__ lie.
class M(type):
    __name__ = property(lambda s: "\ud800")
    __eq__ = lambda s, o: True
    __hash__ = lambda s: hash(int)
    __instancecheck__ = __subclasscheck__ = lambda s, o: True
    mro = lambda s: [s, int, object]


class E(int, metaclass=M):
    pass


def f(x):
    return E(5)
