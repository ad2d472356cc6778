# Source that blows up the parser, the compiler and the constant folder.
def f(x):
    for s in (
        "(" * 10**5,
        "-" * 10**5 + "1",
        "a=" * 10**5 + "1",
        "[" * 90 + "]" * 90,
        "1" + "+1" * 10**5,
        "'a'" * 10**5,
        "x = 2**10**9",
        "\ud800",
        "\0",
    ):
        try:
            exec(s)
        except Exception:
            pass
    return 0
