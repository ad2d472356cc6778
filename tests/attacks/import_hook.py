# Changes what later imports give.
import sys


class Finder:
    def find_spec(self, *_):
        while True:
            pass


sys.meta_path.insert(0, Finder())
sys.modules.clear()


def f(x):
    import decimal

    return decimal
