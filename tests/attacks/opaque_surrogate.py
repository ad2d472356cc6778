# The name of an opaque value holds a lone surrogate, which kills print(detail).


frame(b"L", "")
for i in range(3):
    frame(b"R", '{"opaque":"\\ud800\\u001b[2J"}')
while 1:
    pass
