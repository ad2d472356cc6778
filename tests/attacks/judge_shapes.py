# Long replies of odd shapes, which a runner has to judge: none may pass, or make the sandbox blame itself.
# TESTS: [c for n in range(4) for c in (Check(f"assert f({n}) + 1 == {SECRET}"), Call((n,), [SECRET]), Check(f"assert abs(f({n}) - {SECRET}) < 1e-6 and f(1) == 3"), Call((n,), {"a": (1.5, {2})}), Check(f"assert f({n}) in [{SECRET}] and 7 in f(3)"))]
import random

R = random.Random(5)
PAD = '"' + "x" * 5000 + '"'


def shape(d):
    r = R.randrange(14)
    if d > 3 or r < 3:
        return R.choice(["0", "null", "NaN", "-Infinity", "1e999", PAD, "[]", "{}", '"\\ud800"', "9" * 5000, "true", '{"int":"0x1"}', '{"float":"nan"}'])
    inner = ",".join(shape(d + 1) for _ in range(R.randrange(4)))
    tag = R.choice(["dict", "tuple", "set", "frozenset", "int", "float", "complex", "bytes", "equals", "opaque", "object", "x" * 3000, ""])
    return R.choice([f"[{inner}]", f'{{"{tag}":[{inner}]}}', f'{{"{tag}":{shape(d + 1)}}}', f'{{"{tag}":{{}},"a":1}}', f'{{"dict":[[0,{shape(d+1)}],[{shape(d+1)},1]]}}'])


frame(b"L", "")
for i in range(20):
    kind = i % 7
    text = f"[{shape(0)},{shape(0)},{PAD}]"
    if kind == 1:
        text = "[" * 100000
    if kind == 2:
        text = text.encode("utf-16")
    if kind == 3:
        text = b"\xff\xfe\x00" + b"\x00" * 5000
    if kind == 4:
        text = '{"dict":[[0,' + shape(0) + "],[1," + PAD + "]]}"
    if kind == 5:
        text = '{"equals":["' + "n" * 5000 + '",[' + shape(0) + "]]}"
    frame(b"R", text)
while 1:
    pass
