# Check: the list of holes is a dict, a string, too long, too short.
# TESTS: [Check(f'assert f(1) == {SECRET} or f(2) != f(2)')]*5


frame(b"L", "")
for b in ('{"dict":[[0,1],[1,2]]}', '"ab"', "[]", "[" + "[]," * 100000 + "1]", '{"dict":[[0,NaN],[1,NaN]]}'):
    frame(b"R", b)
while 1:
    pass
