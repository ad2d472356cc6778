# Returns an IntEnum's member, which is not 1; flattened, it is.
# TESTS: [Check("assert f(1) is 1"), Check("assert str([f(1)]) == '[1]'")]
from enum import IntEnum


class One(IntEnum):
    A = 1


def f(x):
    return One.A
