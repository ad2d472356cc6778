"""Problems in the shapes that public benchmarks have, and the programs in the answers that models give."""

import base64
import gzip
import http.server
import json
import pickle
import threading
import zlib

import pytest

from minirl import (
    Call,
    Check,
    Problem,
    Sandbox,
    StdIO,
    UsageError,
    check_solutions,
    extract_code,
    has_answer,
    load_problems,
    main,
)

# Rows as the data sets have them, shortened

MBPP = {
    "text": "Write a function to find the nth power of individual elements.",
    "code": "R = 3\r\nimport math\r\ndef helper(x):\r\n    return x\r\ndef nth_nums(nums,n):\r\n"
    " return [helper(x) ** n for x in nums] ",
    "task_id": 605,
    "test_setup_code": "",
    "test_list": ["assert nth_nums([1, 2],2)==[1, 4]", "assert nth_nums([10,20],1)==[10, 20]"],
    "challenge_test_list": [],
}
MBPP_SANITIZED = {
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "task_id": 82,
    "prompt": "Write a function to find the volume of a sphere.",
    "code": "import math\ndef volume_sphere(r):\n  volume=(4/3)*math.pi*r*r*r\n  return volume",
    "test_imports": ["import math"],
    "test_list": [
        "assert math.isclose(volume_sphere(10), 4188.790204786391, rel_tol=0.001)",
        "assert math.isclose(volume_sphere(25), 65449.84694978735, rel_tol=0.001)",
    ],
}
HUMANEVAL = {
    "task_id": "HumanEval/10",
    "prompt": "import math\n\n\ndef is_palindrome(string: str) -> bool:\n"
    '    """ Test if given string is a palindrome """\n    return string == string[::-1]\n\n\n'
    "def make_palindrome(string: str) -> str:\n"
    '    """ Find the shortest palindrome that begins with a supplied string.\n'
    "    >>> make_palindrome('cat')\n    'catac'\n    \"\"\"\n",
    "entry_point": "make_palindrome",
    "canonical_solution": "    if not string:\n        return ''\n\n    beginning_of_suffix = 0\n\n"
    "    while not is_palindrome(string[beginning_of_suffix:]):\n        beginning_of_suffix += 1\n\n"
    "    return string + string[:beginning_of_suffix][::-1]\n",
    "test": "\n\nMETADATA = {\n    'author': 'jt',\n    'dataset': 'test'\n}\n\n\ndef check(candidate):\n"
    "    assert candidate('') == ''\n    assert candidate('x') == 'x'\n    assert candidate('xyz') == 'xyzyx'\n",
}
EVALPLUS_TEST = """\
import numpy as np

def is_floats(x) -> bool:
    return isinstance(x, float)

def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match

def check(candidate):
    inputs = [['xyz'], ['x'], ['']]
    results = ['xyzyx', 'x', '']
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
"""
EVALPLUS_CROSSCHECK = EVALPLUS_TEST.split("def check")[0] + (
    "def ref_func(string):\n    return string\n\ndef check(candidate):\n    inputs = [['xyz'], ['x']]\n"
    "    for i, inp in enumerate(inputs):\n        assertion(candidate(*inp), ref_func(*inp), 0)\n"
)
MBPP_PLUS = MBPP | {
    "prompt": MBPP["text"],
    "test": "def assertion(out, exp, atol):\n    out = set(out)\n    exp = set(exp)\n    assert out == exp\n\n"
    "inputs = [[[1, 2], 2], [[(3)], 1]]\nresults = [[4, 1], [3]]\n"
    "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(nth_nums(*inp), exp, 0)\n",
}
APPS_STDIN = {
    "problem_id": 0,
    "question": "Polycarp has n words. Print them reversed.\n\n-----Input-----\n\nThe number, then the words.\n",
    "solutions": json.dumps(["n = int(input())\nfor _ in range(n):\n    print(input()[::-1])\n", "broken("]),
    "input_output": json.dumps({"inputs": ["2\nab\ncd\n", ["1", "xyz"]], "outputs": ["ba\ndc\n", ["zyx"]]}),
    "difficulty": "interview",
    "url": "https://codeforces.com/problemset/problem/1259/D",
    "starter_code": "",
}
APPS_CALL = APPS_STDIN | {
    "problem_id": 2,
    "question": "Given a string, return the counts of its letters, and a pair.",
    "solutions": json.dumps(
        ["class Solution:\n    def count(self, s: str) -> List[int]:\n        return (len(s), [1])"]
    ),
    "input_output": json.dumps({"fn_name": "count", "inputs": [["abc"], [""]], "outputs": [[[3, [1]]], [0, [1]]]}),
    "starter_code": "\nclass Solution:\n    def count(self, s: str) -> List[int]:\n        ",
}
APPS_KEYS = APPS_STDIN | {
    "problem_id": 3,
    "solutions": json.dumps(["def double(d):\n    return {k: 2 * v for k, v in d.items()}"]),
    "input_output": '{"fn_name": "double", "inputs": [[{"1": 2}], [{}]], "outputs": [{"1": 4}, {}]}',
}
APPS_HUGE = APPS_STDIN | {
    "problem_id": 4,
    "solutions": json.dumps(["def same(n):\n    return n"]),
    "input_output": '{"fn_name": "same", "inputs": [[9]], "outputs": [9]}'.replace("9", "9" * 5000),
}
TACO = APPS_STDIN | {"input_output": json.dumps({"inputs": ["1\nab\n"], "outputs": ["ba\n"]}), "name": "reversed"}
del TACO["problem_id"]
LIVECODEBENCH = {
    "question_title": "Sum",
    "question_content": "Print the sum of the numbers.",
    "platform": "atcoder",
    "question_id": "abc301_a",
    "contest_id": "abc301",
    "contest_date": "2023-05-13T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": json.dumps([{"input": "4 5\n", "output": "9\n", "testtype": "stdin"}]),
    "metadata": "{}",
}
FUNCTIONAL = [
    {"input": "[1, 2]\n3", "output": "[3, 6]", "testtype": "functional"},
    {"input": "[]\n1", "output": "[]", "testtype": "functional"},
]


def packed(tests):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


LIVECODEBENCH_CALL = LIVECODEBENCH | {
    "question_id": "2727",
    "platform": "leetcode",
    "starter_code": "class Solution:\n    def scale(self, nums: List[int], k: int) -> List[int]:\n        ",
    "public_test_cases": json.dumps(FUNCTIONAL[:1]),
    "private_test_cases": packed(FUNCTIONAL[1:]),
    "metadata": json.dumps({"func_name": "scale"}),
}


def written(folder, *rows, name="p.jsonl"):
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def load(tmp_path):
    return lambda *rows: load_problems(written(tmp_path, *rows))


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2, cpu_seconds=1.0) as sandbox:
        yield sandbox


def passes(sandbox, problem, completion):
    return sandbox.submit(problem.program(completion)).result().passed


def test_assertions_may_leave_out_the_word_and_have_a_setup(load, sandbox):
    own = {"task_id": "a", "prompt": "def f(x):\n", "entry_point": "f", "solution": "    return x\n"}
    plain = [{"assert": f"{'assert ' * (i % 2)}f({i}) == {i}"} for i in range(5)]
    others = [{"assert": "f(6) == 6"}, {"assert": "x = 7\nassert f(x) == 7"}, {"assert": 'assert f("""a\nb""")'}]
    for tests in (plain, [*plain, *others], [*plain, {"args": [8], "expected": 8}]):
        (problem,) = load(own | {"tests": tests})
        assert len(problem.tests) == len(tests) and check_solutions([problem], sandbox) == {}
    for bad in ("assert (", "f(1))", "assert (1 ==", "assert", 'assert """'):
        with pytest.raises(UsageError, match="field 'tests': not an assert statement"):
            load(own | {"tests": [*plain, {"assert": bad}, *plain]})


def test_mbpp(load, sandbox):
    old, sanitized = load(MBPP, MBPP_SANITIZED)
    assert (old.task_id, old.entry_point, sanitized.entry_point) == ("605", "nth_nums", "volume_sphere")
    assert old.prompt == f"{MBPP['text']}\nYour code must pass this test:\n{MBPP['test_list'][0]}"
    assert "\r" not in old.solution and old.program(old.solution).source.strip() == old.solution.strip()
    assert all(isinstance(test, Check) for test in old.tests) and len(old.tests) == 2
    assert check_solutions([old, sanitized], sandbox) == {}
    assert passes(sandbox, sanitized, "def volume_sphere(r):\n  return 4188.79") == (True, False)


def test_setup_code_of_mbpp_runs_before_its_tests(load, sandbox):
    row = {"code": "class Node:\n  def __init__(self, x):\n    self.x = x\ndef f(node):\n  return node.x"}
    (problem,) = load(MBPP | row | {"test_setup_code": "root = Node(7)", "test_list": ["assert f(root) == 7"]})
    assert problem.entry_point == "f" and check_solutions([problem], sandbox) == {}
    assert passes(sandbox, problem, problem.solution.replace("node.x", "8")) == (False,)


def test_imports_of_sanitized_mbpp_are_made_for_its_tests(load, sandbox):
    row = {"code": "def f(x):\n  return x", "test_imports": ["import operator"]}
    (problem,) = load(MBPP_SANITIZED | row | {"test_list": ["assert f(operator.add(1, 2)) == 3"]})
    assert check_solutions([problem], sandbox) == {}


def test_humaneval_also_compressed(tmp_path, sandbox):
    with gzip.open(tmp_path / "h.jsonl.gz", "wt") as file:
        file.write(json.dumps(HUMANEVAL) + "\n")
    (problem,) = load_problems(tmp_path / "h.jsonl.gz")
    assert problem.before_function.startswith("import math") and "is_palindrome" in problem.before_function
    assert len(problem.tests) == 3 and check_solutions([problem], sandbox) == {}
    # a whole function is as good as a continuation, and the helpers of the prompt are still there
    whole = problem.prompt[len(problem.before_function) :] + problem.solution
    assert passes(sandbox, problem, f"Sure!\n```python\n{whole}\n```") == (True, True, True)


def test_evalplus_tests_are_lists_of_inputs_and_results(load, sandbox):
    (problem,) = load(HUMANEVAL | {"test": EVALPLUS_TEST})
    assert problem.tests == [Call(("xyz",), "xyzyx"), Call(("x",), "x"), Call(("",), "")]
    (problem,) = load(MBPP_PLUS)
    assert check_solutions([problem], sandbox) == {}
    assert passes(sandbox, problem, "def nth_nums(a, n):\n    return {4, 1}") == (True, False)


EVALPLUS_FIND_ZERO = """\
import math

def _poly(xs: list, x: float):
    return sum([coeff * math.pow(x, i) for i, coeff in enumerate(xs)])

def check(candidate):
    inputs = [[[1, 2]], [[-6, 11, -6, 1]]]
    results = [-0.5000000000029677, 1.0000000000004547]
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assert _poly(*inp, candidate(*inp)) <= 0.0001
"""
NOT_NONE = """\
import numpy as np

def assertion(out, exp, atol):
    exact_match = exp == (out is not None)
    assert exact_match

inputs = [['a'], ['b']]
results = [True, False]
for i, (inp, exp) in enumerate(zip(inputs, results)):
    assertion(match(*inp), exp, 0)
"""


def test_evalplus_oracles_of_their_own_judge_inside_one_input_at_a_time(load, sandbox):
    """... and nothing is left out: find_zero, results that a function computes, "is not None", values such as inf."""
    inside = "evaluated inside the sandbox, expected value in sight"
    (problem,) = load(HUMANEVAL | {"test": EVALPLUS_FIND_ZERO, "entry_point": "find_zero", "prompt": "A root, please."})
    result = sandbox.submit(problem.program("def find_zero(xs):\n    return 1 if len(xs) > 2 else -0.5")).result()
    assert result.passed == (True, True) and set(result.details) == {inside}
    for wrong in ("pass", "return 'x'", "return 9"):
        assert passes(sandbox, problem, f"def find_zero(xs):\n    {wrong}") == (False, False)
    (problem,) = load(HUMANEVAL | {"test": EVALPLUS_CROSSCHECK})
    assert len(problem.tests) == 2
    assert passes(sandbox, problem, "def make_palindrome(string):\n    return string") == (True, True)
    assert passes(sandbox, problem, "def make_palindrome(string):\n    return 'x'") == (False, True)
    (problem,) = load(MBPP | {"task_id": 3, "test": NOT_NONE, "test_list": ["assert match('a')"], "code": ""})
    assert passes(sandbox, problem, "def match(s):\n    return 1 if s == 'a' else None") == (True, True)
    assert passes(sandbox, problem, "def match(s):\n    return 1") == (True, False)
    verdicts = sandbox.submit(load(HUMANEVAL | {"test": EVALPLUS_CROSSCHECK})[0].program("    return 0.5\n")).result()
    assert verdicts.verdicts == ("wrong_answer",) * 2  # there is no numpy to ask
    infinite = EVALPLUS_TEST.replace("import numpy", "from math import inf\nimport numpy").replace("'xyzyx'", "inf")
    (problem,) = load(HUMANEVAL | {"test": infinite})
    assert (
        passes(sandbox, problem, "def make_palindrome(s):\n    return float('inf') if s == 'xyz' else s") == (True,) * 3
    )
    assert passes(sandbox, problem, "def make_palindrome(s):\n    return s") == (False, True, True)
    with pytest.raises(UsageError, match="line 1: field 'test': expected lists `inputs` and `results`"):
        load(MBPP | {"test": "assert nth_nums([1], 2) == [1]"})


def test_evalplus_lists_of_different_lengths_are_refused(load):
    with pytest.raises(UsageError, match="line 1: .*(shorter|longer)"):
        load(HUMANEVAL | {"test": EVALPLUS_TEST.replace("['xyzyx', 'x', '']", "['xyzyx']")})


def test_the_time_limit_of_taco_and_code_contests_is_the_limit_of_the_tests(load, sandbox):
    limits = {"1 seconds": 1.0, "2.5 seconds": 2.5, 3: 3.0, None: None, "": None}
    rows = [APPS_STDIN | {"problem_id": i, "time_limit": text} for i, text in enumerate(limits)]
    assert [problem.cpu_seconds for problem in load(*rows)] == list(limits.values())
    (problem,) = load(APPS_STDIN | {"time_limit": {"seconds": 0, "nanos": 300_000_000}})
    assert problem.cpu_seconds == 0.3
    busy = (
        "import time\nwhile time.process_time() < 0.5: pass\nn = int(input())\nfor _ in range(n): print(input()[::-1])"
    )
    assert sandbox.submit(problem.program(busy)).result().verdicts == ("timeout", "timeout")
    (problem,) = load(APPS_STDIN)
    assert passes(sandbox, problem, busy) == (True, True)
    for limit in ("soon", "-1", "nan", "1000 ms"):
        with pytest.raises(UsageError, match="line 1: field 'time_limit': expected seconds, got "):
            load(APPS_STDIN | {"time_limit": limit})
    own = {"task_id": "a", "prompt": "def f(x):\n", "entry_point": "f", "tests": [{"args": [1], "expected": 1}]}
    assert load(own | {"cpu_seconds": 0.3})[0].cpu_seconds == 0.3
    for row in (own | {"cpu_seconds": 0}, own | {"cpu_seconds": "2"}, APPS_STDIN | {"time_limit": "0 seconds"}):
        with pytest.raises(UsageError, match="line 1: field 'tests': a time limit of .*, where a number of seconds"):
            load(row)


def test_apps_and_taco(load, sandbox):
    problems = load(APPS_STDIN, APPS_CALL, APPS_KEYS, APPS_HUGE, TACO)
    assert [problem.task_id for problem in problems] == ["0", "2", "3", "4", "5"]
    assert problems[0].tests == [StdIO("2\nab\ncd\n", "ba\ndc\n"), StdIO("1\nxyz", "zyx")]
    assert problems[1].entry_point == "count" and problems[1].prompt.endswith("-> List[int]:")
    assert check_solutions(problems, sandbox) == {}  # a tuple is as good as a list, [3] may stand for 3
    assert passes(sandbox, problems[1], "def count(s):\n    return [0, [1]]") == (False, True)
    assert passes(sandbox, problems[1], "def count(s):\n    return [[3, [1]]]") == (True, False)


def test_the_first_of_several_expected_values_is_not_enough(load, sandbox):
    spec = {"fn_name": "f", "inputs": [[[2, 1]], [[3]]], "outputs": [[1, 2], [3]]}
    (problem,) = load(APPS_STDIN | {"input_output": json.dumps(spec)})
    assert passes(sandbox, problem, "def f(xs): return sorted(xs)") == (True, True)
    assert passes(sandbox, problem, "def f(xs): return min(xs)") == (False, True)  # [3] may stand for 3


def test_a_file_with_a_test_that_cannot_be_run_is_refused_when_it_is_loaded(load):
    own = {"task_id": "a", "prompt": "def f(x):\n", "entry_point": "f"}
    deep = 0
    for _ in range(600):
        deep = [deep]
    for test, words in (
        ({"args": [deep], "expected": 1}, "line 2: field 'tests': a test that is nested too deeply"),
        ({"args": [1], "expected": deep}, "line 2: field 'tests': a test that is nested too deeply"),
        ({"stdin": "x" * (10 << 20) + "x", "stdout": ""}, "line 2: field 'tests': a standard input of 10485761 bytes"),
        ({"assert": "f(1) == " + "+".join(["1"] * 3000)}, "line 2: field 'tests': a test that is nested too deeply"),
        ({"assert": "assert (f(1) == 1, 'message')"}, "line 2: field 'tests': .*tuple in parentheses is always true"),
    ):
        with pytest.raises(UsageError, match=words):
            load(own | {"task_id": "b", "tests": [{"args": [1], "expected": 1}]}, own | {"tests": [test]})
    (problem,) = load(own | {"tests": [{"assert": f"f(1) == {'7' * 5736}"}]})
    assert problem.tests


def test_livecodebench(load, sandbox):
    stdin, call = load(LIVECODEBENCH, LIVECODEBENCH_CALL)
    assert stdin.tests == [StdIO("1 2\n", "3\n"), StdIO("4 5\n", "9\n")]
    assert passes(sandbox, stdin, "print(sum(map(int, input().split())))") == (True, True)
    assert "class Solution:" in call.prompt and len(call.tests) == 2 and call.before_function is None
    answer = "```python\nclass Solution:\n    def scale(self, nums: List[int], k):\n        {}\n```"
    assert passes(sandbox, call, answer.format("return [k * x for x in nums]")) == (True, True)
    assert passes(sandbox, call, answer.format("return []")) == (False, True)


def test_packed_tests_cannot_run_code(load, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    evil = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(UsageError, match="line 1: not as livecodebench has it"):
        load(LIVECODEBENCH | {"private_test_cases": evil})
    assert not (tmp_path / "owned").exists()


def test_a_json_list_and_a_choice_of_tasks(tmp_path):
    rows = [MBPP | {"task_id": n} for n in (1, 11, 600, 601, 974)]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    assert [p.task_id for p in load_problems(f"{tmp_path / 'p.json'}#11-600")] == ["11", "600"]
    file = written(tmp_path, HUMANEVAL)
    assert len(load_problems(f"{file}#10-10")) == 1
    for source, words in ((f"{file}#11-12", "holds no problem"), (f"{file}#ten", "such as #601-974")):
        with pytest.raises(UsageError, match=words):
            load_problems(source)
    with pytest.raises(UsageError, match="'add' has no number"):
        load_problems(f"{written(tmp_path, {'task_id': 'add', 'prompt': '', 'tests': []})}#1-2")


def test_problems_without_a_test_are_left_out_and_named(tmp_path, capsys):
    empty = [APPS_STDIN | {"problem_id": n, "input_output": text} for n, text in ((1, ""), (5, '{"inputs": []}'))]
    file = written(tmp_path, APPS_STDIN, *empty, {"task_id": "own", "prompt": "", "tests": []})
    assert [problem.task_id for problem in load_problems(file)] == ["0"]
    assert "3 problems" in (err := capsys.readouterr().err) and "are left out: 1, 5, own" in err


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (MBPP | {"test_list": "assert"}, "field 'test_list' must be a list"),
        (MBPP | {"test_list": ["assert ("]}, "not an assert statement"),
        ({"test_list": [], "code": ""}, "field 'prompt' is missing"),
        (HUMANEVAL | {"test": "def check(candidate):\n    pass"}, "not as humaneval has it"),
        (HUMANEVAL | {"entry_point": None}, "field 'entry_point' must be a string"),
        (APPS_STDIN | {"input_output": "{"}, "not as apps has it"),
        (APPS_STDIN | {"input_output": '{"inputs": ["1"], "outputs": []}'}, "not as apps has it"),
        (LIVECODEBENCH | {"private_test_cases": "@@"}, "not as livecodebench has it"),
        (LIVECODEBENCH | {"public_test_cases": '[{"input": ""}]'}, "not as livecodebench has it"),
        ([], "expected a JSON object, got list"),
        ({"question": "?", "id": 3}, "none of the formats minirl, MBPP, .*; it has the fields question, id"),
        ({"task_id": [], "tests": []}, "field 'task_id' must be a string, got list"),
        ({"prompt": "", "tests": []}, "field 'task_id' is missing"),
    ],
)
def test_a_malformed_row_of_any_format_is_named_with_file_and_line(tmp_path, row, words):
    with pytest.raises(UsageError, match=rf"p\.jsonl, line 2: .*{words}"):
        load_problems(written(tmp_path, MBPP | {"task_id": "first"}, row))


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    for text in (json.dumps(MBPP), json.dumps([MBPP])):
        (tmp_path / "p.jsonl").write_text(text, encoding="utf-8-sig")
        assert len(load_problems(tmp_path / "p.jsonl")) == 1


def test_a_file_that_is_no_text_is_a_sentence(tmp_path):
    for name, content in (("p.jsonl.gz", b"no"), ("p.parquet", b"PAR1\xff\xfe"), ("q.jsonl", b"\xff\xff")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match="cannot read the problem file" + (".*JSON lines" * ("parquet" in name))):
            load_problems(tmp_path / name)
    with gzip.open(tmp_path / "cut.jsonl.gz", "wb") as file:
        file.write(json.dumps(MBPP).encode() * 100)
    (tmp_path / "cut.jsonl.gz").write_bytes((tmp_path / "cut.jsonl.gz").read_bytes()[:100])
    with pytest.raises(UsageError, match="cannot read the problem file"):
        load_problems(tmp_path / "cut.jsonl.gz")


# Downloads


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file; /cut.jsonl.gz ends half-way."""

    content = (json.dumps(MBPP | {"text": "x" * 100_000}) + "\n").encode()

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/missing.jsonl":
            self.send_error(404)
            return
        content = gzip.compress(self.content)[:100] if self.path == "/cut.jsonl.gz" else self.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_url_is_downloaded_once(server):
    for _ in range(2):
        (problem,) = load_problems(f"{server.url}/good.jsonl#600-610")
        assert problem.task_id == "605"
    assert server.asked == ["/good.jsonl"]


def test_a_download_that_is_damaged_says_which_file_to_delete(server, tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the problem file .*; delete .* to download it again"):
        load_problems(f"{server.url}/cut.jsonl.gz")


def test_a_page_that_is_not_there_is_a_sentence(server):
    with pytest.raises(UsageError, match="cannot download .*missing.jsonl: HTTP Error 404"):
        load_problems(f"{server.url}/missing.jsonl")
    server.server_close()
    with pytest.raises(UsageError, match="cannot download"):
        load_problems(f"{server.url}/other.jsonl")


# minirl check


def test_check_names_what_cannot_be_trained_on(tmp_path, capsys):
    rows = [
        MBPP,
        MBPP | {"task_id": 1, "code": "def nth_nums(nums, n):\n    return [1, 4]"},
        MBPP | {"task_id": 2, "code": "def nth_nums(nums, n):\n    while True: pass"},
        MBPP | {"task_id": 3, "test_list": []},
        LIVECODEBENCH,
    ]
    assert main(["check", str(written(tmp_path, *rows)), "--cpu-seconds", "0.5"]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err.startswith("minirl: 1 problems of ") and "have no test and are left out: 3\n" in err
    assert lines[0].startswith("1: 1 passed, 1 wrong_answer; test 2: wrong_answer (got ")
    assert lines[1].startswith("2: 2 timeout; test 1: timeout")
    assert lines[2] == "4 problems: 1 with a solution that passes, 2 with one that does not, 1 without"
    assert main(["check", str(written(tmp_path, MBPP))]) == 0
    for nothing, words in (([], "holds no problem\n"), ([MBPP | {"test_list": []}], "holds no problem with a test\n")):
        assert main(["check", str(written(tmp_path, *nothing))]) == 2 and words in capsys.readouterr().err


# The program in an answer

OPENED = Problem("o", 'import re\n\ndef helper():\n    pass\n\ndef f(x):\n    """Doc."""\n', [Call((1,), 2)], "f")
WORDS = Problem("w", "Write a function f.", [Call((1,), 2)], "f")
SCRIPT = Problem("s", "Double a number.", [StdIO("1", "2")])
FUNCTION = "def f(x):\n    return x + 1\n"
HELPED = "import math\nfrom typing import List\n\nLIMIT: int = 3\n\n@wraps\ndef g(x):\n    return x\n\n" + FUNCTION


@pytest.mark.parametrize("code", [FUNCTION, HELPED, FUNCTION + "\n\ndef after(x):\n    return 2\n"])
@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        "```python\n{}```",
        "```\n{}```\n",
        "Sure! Here it is:\n\n```py\n{}```\n\nThis adds one.",
        "Sure! Here it is:\n```python\n{}",  # unclosed
        "It is used so:\n```python\nprint(f(1))\nprint(f(2))\nprint(f(3)) # "
        + "long " * 99
        + "\n```\n```python\n{}```",
        "First try:\n```python\ndef f(x):\n    return 0\n```\nBetter:\n```python\n{}```",
        "```python\n{}```\nIt prints:\n```text\ndef f(x) is 2\n```",
        "<think>```python\ndef f(x):\n    return 0\n```</think>\n{}",
        "The function is here.\n\n{}\n\nIt works as follows:\n1. It adds one.\n",
        "```\n```python\n{}```",  # opened twice
        "~~~python\n{}~~~",
        "<think>2</think>\n<answer>\n{}</answer>",
        "```python\n{}broken(\n```",  # cut off by the token limit, or no code
    ],
)
def test_the_code_is_taken_out_of_an_answer(answer, code):
    assert extract_code(WORDS, answer.replace("{}", code)).strip() == code.strip()
    assert extract_code(OPENED, answer.replace("{}", code)).strip() == (OPENED.before_function + code).strip()


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("    return x\n", ""),
        ("    return x", ""),
        ("    return x\n\n", "print(f(2))\n"),
        ("    return x\n", "```\nThis is it."),
        ("    return g(\n        x\n)\n\n\ndef g(x):\n    return 1\n\n", "assert f(1)"),
        ('    s = """\nprose at the margin\n"""\n    return s\n', "prose"),
        ("", ""),
    ],
)
def test_a_continuation_ends_where_the_function_does(text, cut):
    assert extract_code(OPENED, text + cut) == OPENED.prompt + text


def test_verbatim_nothing_is_mended():
    """The toy has learnt to end what it writes: what it adds is its own fault."""
    for problem, before in ((OPENED, OPENED.prompt), (WORDS, "")):
        for text in ("    return x\nprose", "```python\n" + FUNCTION + "```", ""):
            assert problem.program(text, verbatim=True).source == before + text


def test_a_body_in_a_fence_completes_the_prompt_but_bare_words_do_not_become_one():
    assert extract_code(OPENED, "```python\nreturn x + 1\n```") == OPENED.prompt + "    return x + 1\n"
    assert extract_code(OPENED, "return x + 1") == OPENED.prompt + "return x + 1"


def test_scripts_and_methods():
    script = "n = int(input())\nprint(2 * n)\n"
    for answer in (
        "{}",
        "Here:\n\n{}",
        "```python\n{}```",
        "```python\n{}```\nfor example\n```\n1\n2\n3\n4\n5\n6\n7\n```",
    ):
        assert extract_code(SCRIPT, answer.replace("{}", script)).strip() == script.strip()


THREE = [Call((1,), 2), Call((2,), 3), Call((3,), 4)]
TASK, METHOD = (
    Problem("t", words, THREE, "f") for words in ("Write f.", "Write f.\n\nclass Solution:\n    def f(self, x):")
)
DOUBLE = Problem("d", "Read a number, print its double.", [StdIO("2\n", "4\n"), StdIO("5", "10")])
CLASS = "class Solution:\n    def f(self, x):\n        return {}\n"
RIGHT = [  # problems and answers that a careful reader finds right
    # what follows the function belongs to it, and cannot spoil it
    (TASK, "def f(x):\n    return T[x]\n\nT = {}\nfor i in range(9):\n    T[i] = i + 1\n"),
    (TASK, "def f(x):\n    return A * x + B\n\nA, B = 1, 1\n"),
    (TASK, "def f(x):\n    f.calls += 1\n    return x + 1\n\nf.calls = 0\n"),
    (TASK, "def f(x):\n    return op.add(x, 1)\ntry:\n    import operator as op\nexcept ImportError:\n    op = None\n"),
    (TASK, "def f(x):\n    return x + Z\n\nZ = (\n2 - 1\n)\n"),
    (TASK, "def f(x): return x + 1\nprint(f(int(input())))\nassert f(1) == 3\n"),
    (TASK, "def f(x): return x + 1\nif __name__ == '__main__':\n    input()\nraise SystemExit(1)\n"),
    (TASK, "def f(x): return x + 1\n\ndef g(x):\n    return [x"),
    # fences
    (TASK, "~~~\ndef f(x): return x + 1\n~~~\nDone."),
    (TASK, "Helper:\n```python\ndef g(x):\n    return x + 1\n```\nMain:\n```python\ndef f(x):\n    return g(x)\n```"),
    (TASK, "```python\nimport operator\n```\n```python\ndef f(x): return operator.add(x, I)\n```\n```py\nI = 1\n```"),
    (TASK, "```python\ndef f(x):\n    '''\n```\nf(1)\n```\n    '''\n    return x + 1\n```\nSo."),
    (TASK, "```python\ndef f(x): return 0\n```\n```python\ndef f(x): return x + 1\n```\nUse:\n```python\nf(f)\n```"),
    (DOUBLE, "~~~python\nprint(2 * int(input()))\n~~~"),
    (DOUBLE, "<think>2n</think>\n<answer>\nn = int(input())\nprint(n * 2)\n</answer>"),
    (TASK, "The function adds. <answer>def f(x): return x + 1</answer>"),
    (DOUBLE, "n = int(input())\nprint(n * 2)\n\nIt reads a number and doubles it."),
    (DOUBLE, "```\nt = 0\nfor i in range(int(input())): t += 1\nprint(t)\n```\nNo:\n```\nprint(2 * int(input()))\n```"),
    (DOUBLE, "Input:\n```\n2 is an example of input\n```\nSo:\n```\nprint(2 * int(input()))\n```\nOut:\n```\n4\n```"),
    (DOUBLE, "```python\ndef main():\n    print(2 * int(input()))\n```\n```python\nmain()\n```"),
    # a thought is no answer
    (TASK, "<think>```python\ndef f(x): return 0\n```</think>\n```python\ndef f(x): return x + 1\n```"),
    (TASK, "def f(x): return 0\n</think>def f(x): return x + 1"),
    # LeetCode
    (METHOD, CLASS.format("x + pow(3, -1, 2)")),
    (METHOD, CLASS.format("heappop([x + 1]) + bisect_left([1], 0) + deepcopy(0)")),
    (METHOD, CLASS.format("min(sys.maxsize, operator.add(x, 1), inf, math.inf) + len(Counter() or deque())")),
    (METHOD, CLASS.format("x + bisect([5], 5) + bisect.bisect([1], 0)").replace("bisect([5]", "bisect_right([5]")),
    (METHOD, CLASS.format("x + 1").replace("(self, x)", "(self, x: Optional[int]) -> List[int]")),
    (METHOD, "from __future__ import annotations\n" + CLASS.format("x + 1").replace("x)", "x: list[Node])")),
    (METHOD, "def f(x: List[int]) -> int:\n    return reduce(add, [x, 1])"),
    (METHOD, "class Solution:\n    n = 0\n    def __init__(self): self.n = 1\n    def f(self, x):\n"
             "        self.n += x\n        return self.n"),
    (METHOD, CLASS.format("x + 1 if x < 4 else self.f(x - 1)") + "print(Solution().f('x'))"),
    (METHOD, CLASS.format("x + 1 + self.deep(3000)") + "    def deep(self, n): return n and self.deep(n - 1)"),
]  # fmt: skip
WRONG = [
    (TASK, "<think>```python\ndef f(x): return x + 1\n```"),  # cut off while it thought
    (TASK, "<think>def f(x): return x + 1"),
    (TASK, "```python\ndef f(x): return x + 1\n```\nBetter:\n```python\ndef f(x): return x\n```"),
    (TASK, "```python\nraise ValueError\ndef f(x): return x + 1\n```"),
    (TASK, "```python\ndef f(x):\n    if x:\n        return x + 1\n    return (\n```"),  # the function itself is broken
    (DOUBLE, "print(2 * int(input()))\n```python\nprint(5)\n```"),
]


@pytest.mark.parametrize(("problem", "answer"), RIGHT)
def test_a_right_answer_passes(sandbox, problem, answer):
    result = sandbox.submit(problem.program(answer)).result()
    assert result.all_passed, result
    if "```" not in answer and "~~~" not in answer and "<" not in answer:
        assert sandbox.submit(problem.program(f"So:\n```python\n{answer}\n```\nThat is it.")).result().all_passed


@pytest.mark.parametrize(("problem", "answer"), WRONG)
def test_a_wrong_answer_does_not_pass(sandbox, problem, answer):
    assert not sandbox.submit(problem.program(answer)).result().all_passed


def test_what_precedes_a_prompts_function_stays_and_future_imports_come_first(sandbox):
    opened = Problem("o", "from typing import List\n\ndef f(x: List[int]):\n", THREE, "f")
    answer = "```python\nfrom __future__ import annotations\ndef f(x: Lists) -> List: return x + 1\n```"
    assert extract_code(opened, answer).startswith("from __future__ import annotations\nfrom typing import List\n")
    assert passes(sandbox, opened, answer) == (True,) * 3


def test_no_answer_breaks_the_extraction():
    for text in (
        "",
        "\n",
        "```",
        "```python",
        "`" * 5000,
        "```\n" * 2000,
        "def f(",
        "\x00\ud800",
        '"""' * 999,
        "\n" * 9999,
    ):
        for problem in (OPENED, WORDS, SCRIPT):
            assert isinstance(extract_code(problem, text), str)
            has_answer(problem, text, True), has_answer(problem, text, False)


def test_an_answer_is_complete_when_its_fence_closes_or_its_function_ends():
    chat = "So:\n```\nexample\n```\n```python\ndef f(x):\n    return x\n```"
    assert has_answer(WORDS, chat, True) and has_answer(OPENED, chat, True)
    assert not any(has_answer(WORDS, chat[:n], True) for n in range(len(chat)))
    assert has_answer(SCRIPT, "```python\nprint(1)\n```", True) and not has_answer(SCRIPT, "```\nprint(1)\n```", True)
    text = "    return x\n\nprint(1)\n"
    assert has_answer(OPENED, text, False)
    assert not any(has_answer(OPENED, text[:n], False) for n in range(len(text)))
    assert has_answer(WORDS, "def f(x):\n" + text, False) and not has_answer(WORDS, text, False)
