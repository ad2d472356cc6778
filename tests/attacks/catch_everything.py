# Recursion, generators and finally blocks that never let an exception out.
def f(x):
    try:
        return f(x)
    finally:
        return f(x)
