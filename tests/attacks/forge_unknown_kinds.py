# Sends frames of all 256 kinds, printed/skipped included.


frame(b"L", "")
for i in range(256):
    frame(bytes([i]), "passed")
f = lambda x: 0
