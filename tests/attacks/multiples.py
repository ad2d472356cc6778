# Ordinary numbers that hash alike, where an assertion asks for a set, for membership or for a sum of them.
# TESTS: [Check(f'assert set(f(1)) == {{{SECRET}}}'), Check(f'assert f(2) == {{{SECRET}: 1}}'), Check(f'assert set(f(1) + f(1)) == {{{SECRET}}}'), Check(f'assert {SECRET} in f(2)'), Call((2,), {SECRET: 1}), Call((2,), frozenset([SECRET]))]
def f(x):
    numbers = [k * (2**61 - 1) for k in range(6_000)]
    return numbers if x == 1 else dict.fromkeys(numbers)
