# Backtracks for ages in the regex engine.
import re


def f(x):
    return re.match(r"(a*)*b", "a" * 60)
