# An exception whose text holds terminal escape sequences, a faked line of a report and a carriage return.
def f(x):
    raise ValueError("\x1b]0;owned\x07\x1b[2J\r   1  passed           0.000 s  ")
