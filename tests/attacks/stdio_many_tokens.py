# StdIO: 8 MB of two-letter tokens, memory of the trainer.
# TESTS: [StdIO('1', str(SECRET)), StdIO('2', 'x')]
print("ab " * 2700000)
