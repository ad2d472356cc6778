"""How long a problem file takes to load, by the kind of its tests.

python tests/benchmarks/bench_loading.py [--problems 1000] [--tests 100]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import minirl

KINDS = {
    "calls": lambda i: {"args": [[i, 3, 1], "word"], "expected": [1, 3, i]},
    "assertions": lambda i: {"assert": f"f([{i}, 3, 1], 'word') == [1, 3, {i}]"},
    "standard input": lambda i: {"stdin": f"{i} 3 1\n", "stdout": f"{i + 4}\n"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--tests", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for kind, make in KINDS.items():
            file = Path(scratch, "problems.jsonl")
            with file.open("w", encoding="utf-8") as out:
                for p in range(given.problems):
                    row = {"task_id": str(p), "prompt": "def f(xs, word):\n", "entry_point": "f"}
                    out.write(json.dumps(row | {"tests": [make(p + i) for i in range(given.tests)]}) + "\n")
            started = time.perf_counter()
            problems = minirl.load_problems(file)
            seconds = time.perf_counter() - started
            assert sum(len(problem.tests) for problem in problems) == given.problems * given.tests
            print(f"{kind:15} {given.problems} problems × {given.tests} tests: {seconds:.1f} s")


if __name__ == "__main__":
    main()
