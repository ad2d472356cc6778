# Forged frames with sets of tuples of -1 and -2, whose hashes are all the same.
# TESTS: [Check(f'assert f(1) == {{{SECRET}}}'), Check(f'assert {SECRET} in f(1)'), Check(f'assert f(1) < {{{SECRET}}}'), Call((1,), {SECRET}), Call((1,), FromJson(({str(SECRET): [1]},)))]
import itertools
import json


def f(x):
    rows = [{"tuple": list(row)} for row in itertools.islice(itertools.product([-1, -2], repeat=14), 6000)]
    for value in ({"set": rows}, {"dict": [[row, 1] for row in rows]}):
        frame(b"R", json.dumps([value]))
        frame(b"R", json.dumps(value))
