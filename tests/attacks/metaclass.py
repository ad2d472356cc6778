# Returns a class whose metaclass lies.
class M(type):
    __eq__ = lambda *_: True
    __instancecheck__ = __subclasscheck__ = lambda *_: True
    __hash__ = lambda _: 0
    __name__ = "int"


class E(int, metaclass=M):
    pass


def f(x):
    return E if x == 1 else [E]
