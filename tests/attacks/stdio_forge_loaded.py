# StdIO: forges LOADED, RETURNED and printed after no output.
# TESTS: [StdIO('1', str(SECRET)), StdIO('2', 'x')]


frame(b"L", "")
frame(b"R", "true")
