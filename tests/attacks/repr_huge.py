# A wrong string of 8 million unprintable characters, for the repr in the detail.
def f(x):
    return chr(127) * 8000000
