"""What test_processes.py runs in two processes: `torchrun --nproc-per-node 2 two_processes.py FOLDER`."""

import sys
from pathlib import Path

from conftest import HASTY
from test_processes import SETTINGS

import minirl

vars(minirl).update(HASTY)
folder = Path(sys.argv[1])
minirl.train(minirl.Config(out=str(folder / "two"), **SETTINGS))
minirl.train(minirl.Config(out=str(folder / "resumed"), **SETTINGS | {"steps": 1}))
minirl.train(minirl.Config(resume=str(folder / "resumed"), **SETTINGS))

# The second process fails, and the first waits for it: both must end.
sys.exit(minirl.main(["train", f"--out={folder / 'failing'}", f"--lr={1 - 2 * minirl.rank()}"]))
