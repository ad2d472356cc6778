# Raises an exception whose text never ends, and one that raises.
class E(Exception):
    def __str__(self):
        if self.args:
            raise E
        while True:
            pass


def f(x):
    raise E(1) if x == 1 else E()
