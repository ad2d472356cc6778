# Sum() in the trainer: a huge int and a million ones cost a million huge additions.
# TESTS: [Check(f'assert sum(f(1)) == {SECRET}')]


frame(b"L", "")
frame(b"R", '[[{"int":"0x1' + "0" * 4000000 + '"}' + ",1" * 2000000 + "]]")
while 1:
    pass
