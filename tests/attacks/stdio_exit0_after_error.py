# StdIO: leaves by os._exit(0) instead of a traceback, nothing printed, nothing expected.
# TESTS: [StdIO('1', str(SECRET))]
import os

os._exit(0)
