# Forged frames of megabytes that would become a hundred times as much memory.
# TESTS: [Call((1,), [SECRET] * 100_000), Call((1,), FromJson(([[SECRET]] * 50_000,))), Check(f'assert f(1) == {SECRET}'), Call((1,), SECRET)]
def f(x):
    for part in ("[],", '{"tuple":[]},', '{"int":"0x1"},', "1.5,"):
        text = "[" + part * (4_000_000 // len(part)) + "1]"
        frame(b"R", text)
