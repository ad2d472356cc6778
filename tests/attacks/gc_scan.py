# Gc.get_objects and unfrozen objects, searched for an 80-bit integer.
import gc


def f(x):
    gc.unfreeze()
    gc.collect()
    for o in gc.get_objects():
        for r in gc.get_referents(o):
            if type(r) is int and 60 < r.bit_length() <= 80:
                return r if x == 1 else [r]
            if type(r) is str and r.isdigit() and 20 < len(r) < 26:
                return int(r) if x == 1 else [int(r)]
