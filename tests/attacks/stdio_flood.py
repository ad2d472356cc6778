# StdIO: output without end.
# TESTS: [StdIO('1', str(SECRET)), StdIO('2', 'x')]
import os

while 1:
    os.write(1, b"x " * 30000)
