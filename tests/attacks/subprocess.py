# Runs a program.
import subprocess


def f(x):
    return subprocess.run(["id"], capture_output=True).stdout
