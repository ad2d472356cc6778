# StdIO: a rounded float for a large exact integer.
# TESTS: [StdIO('80', '23416728348467685')]
n = int(input())
print(((1 + 5**0.5) / 2) ** n / 5**0.5)
