# A float near a large exact integer (Binet's formula for Fibonacci numbers).
# TESTS: [Call((80,), 23416728348467685), Call((90,), 2880067194370816120)]
def f(n):
    return ((1 + 5**0.5) / 2) ** n / 5**0.5
