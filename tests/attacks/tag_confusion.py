# Returns what looks like tagged values of the wire format.
def f(x):
    return {"opaque": "x"} if x == 1 else [{"tuple": [1]}, {"int": "0x1"}, {"dict": []}, {}]
