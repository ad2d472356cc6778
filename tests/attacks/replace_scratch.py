# Removes or renames its scratch folder and makes a link to the canary's folder of the same name.
import os


def f(x):
    here, out = os.getcwd(), []
    for g in (
        lambda: os.rmdir(here),
        lambda: os.rename(here, here + "x"),
        lambda: os.symlink(os.path.dirname(CANARY_FILE), here),
        lambda: os.rename(here, "/tmp/minirl-sandbox-evil"),
        lambda: os.mkdir("/tmp/minirl-sandbox-evil"),
        lambda: os.open(os.path.dirname(here), os.O_RDONLY),
        lambda: os.listdir(os.path.dirname(here)),
    ):
        try:
            out.append(g())
        except OSError as e:
            out.append(e.errno)
    raise ValueError(repr(out))
