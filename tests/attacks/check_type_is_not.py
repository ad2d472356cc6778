# Check: `type(f(x)) is not str` holds for every opaque value.
# TESTS: [Check('assert type(f(1)) is not str')]
f = lambda x: "text"
