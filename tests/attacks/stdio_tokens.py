# StdIO: nan, inf, underscores, huge exponents, unicode digits against a number.
# TESTS: [StdIO(str(i), '0.5') for i in range(12)] + [StdIO('1', str(SECRET)), StdIO('2', 'nan'), StdIO('3', 'inf'), StdIO('4','-inf')]
i = int(input())
print(["nan", "inf", "1e999.", ".", "-.", "1.e-400", "infinity.", "0x.8", "5e-1_0", "0.5.", ".5j", "nan."][i])
