# An object that lies to len, str, list, sum, float, set, sorted, round; and builtins that lie as well.
# TESTS: [Check(f'assert {wrap}(f(1)) == {wrap}({value})') for wrap, value in (('len', f'range({SECRET % 1000 + 7})'), ('str', SECRET), ('list', f'[{SECRET}]'), ('sum', f'[{SECRET}]'), ('float', SECRET), ('set', f'[{SECRET}]'), ('sorted', f'[{SECRET}]'), ('repr', SECRET))] + [Check(f'assert len(f(1)) == {SECRET % 1000 + 7}'), Check(f'assert ",".join(f(1)) == "{SECRET}"'), Check(f'assert max(f(1)) == {SECRET}')]
import builtins


class Yes(int):
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __hash__ = int.__hash__


class Liar(str):
    __len__ = __index__ = __int__ = lambda self: Yes(6)
    __float__ = lambda self: 6.0
    __iter__ = lambda self: iter([Yes(1)])
    __eq__ = __ne__ = lambda self, other: True
    __str__ = __repr__ = lambda self: Liar("x")
    __hash__ = str.__hash__
    __add__ = __radd__ = lambda self, other: Yes(1)


for name in "len str list sum float set sorted repr max map".split():
    setattr(builtins, name, lambda *args, **options: Yes(1))


def f(x):
    return Liar("x")
