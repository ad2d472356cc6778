"""minirl: learn and research reinforcement learning for code generation from unit tests, in two files.

    minirl                                          train the toy: a small code model, on a CPU, in minutes
    minirl train --reward pass_rate --seed 1        ... on the share of passed tests instead of all-or-nothing
    minirl train --resume runs/NAME --steps 200     go on with a run
    minirl train --model DIR --problems FILE.jsonl  a model of the Hugging Face hub or a folder, and your problems
    torchrun --nproc-per-node 2 minirl.py train     several processes share every batch
    minirl eval --model runs/NAME --samples 32      pass@1, pass@8, pass rate; minirl eval A B compares two
    minirl check FILE.jsonl                         do the reference solutions of the problems pass?
    minirl study --quick                            rewards and algorithms over paired seeds, with intervals
    minirl inspect runs/NAME                        one group of samples under the microscope
    minirl plot runs/A runs/B                       curves
    minirl train --help                             all settings          (python minirl.py ... does the same)

The data flows from top to bottom, and so does this file:

     1  Problem            a prompt, and tests that say whether a program solves it; benchmarks; code in answers
     2  toy_problems       a grammar of small functions, and the mistakes programmers make in them
     3  Policy             a causal language model; the toy's is trained here, once, on careless solutions
     4  sample             a group of completions for every problem
     5  grade              run them in the sandbox (sandbox.py): outcomes, problem x sample x test
     6  REWARDS            outcomes -> rewards: binary, pass_rate, and eight between these two
     7  ADVANTAGES         rewards -> advantages: grpo, rloo, dr_grpo, reinforce
     8  policy_loss        the clipped policy gradient, its normalisation, the KL penalty
     9  evaluate           unbiased pass@k on held-out problems
    10  Config, train      the loop: sample -> grade -> reward -> advantage -> update; several processes
    11  run folder         config, metrics, rollouts, checkpoints; exact resume
    12  inspect, plot      diagnostics
    13  study              a grid of runs with paired seeds; a table and a figure
    14  main               the command line

Shapes are written in this order: P problems, G samples a group, T tests, L completion tokens, V vocabulary; N = P * G.

What is left out, and the place to change to get it: a value model and GAE (train: advantages would come from it), a
learning-rate decay (train, where the rate is set), top-p sampling (sample; the log-probabilities must follow), dynamic
sampling that replaces dead groups (train, before update).
"""

from __future__ import annotations

import argparse
import ast
import base64
import builtins
import collections
import concurrent.futures
import contextlib
import copy
import errno
import functools
import gzip
import hashlib
import http.client
import importlib
import importlib.util
import inspect
import io
import itertools
import json
import math
import multiprocessing
import os
import pickle
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
import torch.utils.checkpoint
from safetensors import SafetensorError
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from tqdm import tqdm
from transformers.cache_utils import Cache, DynamicLayer

from sandbox import (
    Call,
    Check,
    Opaque,
    Program,
    Result,
    Sandbox,
    SandboxError,
    StdIO,
    Verdict,
    count_cores,
    encode,
    matches,
    read_test,
    split_test_function,
)


class UsageError(ValueError):
    """Something the user asked for cannot be done; its text is one sentence with the way out."""


# ----------------------------------------------------------------------------------------------------------------------
# 1. Problems: a prompt, and tests that say whether a program solves it


@dataclass(frozen=True)
class Problem:
    """A programming problem: what the policy reads, and the tests that its program must pass.

    prompt       a task in words, or Python code that ends in the opened function `entry_point` ("def f(xs):")
    tests        sandbox.Call, sandbox.Check or sandbox.StdIO, at least one
    entry_point  name of the function that Call and Check tests call
    solution     a reference completion, if one is known
    """

    task_id: str
    prompt: str
    tests: Sequence[Call | Check | StdIO]
    entry_point: str | None = None
    solution: str | None = None

    def __post_init__(self):
        if not self.tests:
            raise UsageError(f"problem {self.task_id} has no tests, so no program can be told from another")
        if self.entry_point is None and any(isinstance(test, Call) for test in self.tests):
            raise UsageError(f"problem {self.task_id} has a test that calls a function, but no entry_point names it")

    @functools.cached_property
    def before_function(self) -> str | None:
        """The imports and helpers of a prompt that opens the function; None where the prompt is a task in words."""
        opening = self.entry_point and _definition(self.entry_point).search(self.prompt)
        if not opening or re.search(r"\n[^\s)]", self.prompt[opening.start() :]):
            return None
        return self.prompt[: opening.start()]

    def program(self, completion: str, verbatim: bool = False) -> Program:
        """The program that a completion stands for: what extract_code takes out of it, or verbatim all of it."""
        whole = completion if self.before_function is None else self.prompt + completion
        return Program(whole if verbatim else extract_code(self, completion), self.tests, self.entry_point)


def _definition(name: str, indent: str = "") -> re.Pattern:
    return re.compile(rf"^{indent}(?:async +)?def +{re.escape(name)}\b", re.MULTILINE)


_FENCE = re.compile(r"```([^\n`]*)\n(.*?)(```|\Z)", re.DOTALL)
LEETCODE_IMPORTS = """import bisect, collections, functools, heapq, itertools, math, random, re, string
from collections import *
from functools import *
from itertools import *
from math import *
from typing import *"""
_STATEMENT = r"@|(?:async +)?def |class |import |from \S+ import |"
_FIRST_LINE = re.compile(  # of a program, in the middle of prose
    rf"^(?:{_STATEMENT}#!|\w[\w, ]* ?=[^=]|print\(|(?:for|while|if|with) .*:$|try:)", re.MULTILINE
)
_LATER_LINE = re.compile(rf"{_STATEMENT}[\s#)\]}}]|\w+(?:: ?[\w\[\], .|]+)? ?=[^=]|\Z")


def extract_code(problem: Problem, completion: str) -> str:
    """The program in an answer, taken out by its lines alone, for it may be anything. The answer may be

      * what follows the prompt, where that opens the function
      * a fenced block; of several, the last one that defines the function (else the longest). It may be unclosed
      * a program or a function with prose around it

    Imports and helpers are kept, those of the prompt too. What follows the function and is neither a definition, an
    import nor a constant is cut: prose, examples, calls. A method of a class Solution is made a function, and what
    LeetCode imports for such a class is imported.
    """
    name, before = problem.entry_point, problem.before_function
    answer = completion.rpartition("</think>")[2]
    blocks = [(tag.strip().lower(), code) for tag, code, _ in _FENCE.findall(answer)]
    blocks = [block for block in blocks if block[0].startswith("py")] or [b for b in blocks if not b[0]] or blocks
    defines = _definition(name, "[ \t]*") if name else None
    answers = [code for _, code in blocks if defines and defines.search(code)]
    if before is not None and not answers:
        first_line = next((line for line in answer.split("\n") if line.strip()), " ")
        if first_line[0].isspace() or not problem.prompt.endswith("\n"):
            return problem.prompt + answer[: _end_of_function(answer, 0)]
    if blocks:
        code = answers[-1] if answers else max((code for _, code in blocks), key=len)
        code = textwrap.dedent(code) if code[:1].isspace() else code  # a block within a list of steps
    else:
        first = _FIRST_LINE.search(answer)
        code = answer[first.start() :] if first else answer
    found = list(defines.finditer(code)) if defines else []
    if not found:
        body = textwrap.indent(code, "    ") if blocks else code
        return code if before is None else problem.prompt + body
    code = code[: _end_of_function(code, found[-1].end())]
    if re.search(r"^class Solution\b", code, re.MULTILINE) and not _definition(name).search(code):
        code = f"{LEETCODE_IMPORTS}\n{code}\n\n{name} = Solution().{name}\n"
    return (before or "") + code


def _end_of_function(code: str, start: int, whole_lines: bool = False) -> int:
    """Where the first line after `start` begins that cannot belong to a function or its helpers; the end if none does.
    With whole_lines, a line that is still being written does not count."""
    for line in re.compile(r"^.*(\n|\Z)", re.MULTILINE).finditer(code, code.find("\n", start) + 1 or len(code)):
        if not _LATER_LINE.match(line[0]) and (line[1] or not whole_lines):
            if not any(code.count(quotes, 0, line.start()) % 2 for quotes in ('"""', "'''")):  # in a long text
                return line.start()
    return len(code)


def has_answer(problem: Problem, completion: str, in_chat: bool) -> bool:
    """Has a completion said all that counts? In a chat, when the fence around the answer is closed; else when the
    function is followed by a line that does not belong to it."""
    name, opened = problem.entry_point, problem.before_function is not None
    defines = _definition(name, "[ \t]*") if name else None
    if in_chat:
        blocks = _FENCE.findall(completion.rpartition("</think>")[2])
        return any(end and (defines.search(code) if defines else tag.startswith("py")) for tag, code, end in blocks)
    start = 0 if opened else (match := defines.search(completion)) and match.end() if defines else None
    return start is not None and _end_of_function(completion, start, whole_lines=True) < len(completion)


def load_problems(source: str | os.PathLike) -> list[Problem]:
    """Read problems from a file or a URL (downloaded once). "FILE#601-974" keeps the tasks with these numbers.

    One JSON object a line, or one JSON list, may be compressed (.gz). The fields of an object tell its format:
      minirl         {"task_id": "add", "prompt": "def add(a, b):\\n", "entry_point": "add",
                      "tests": [{"args": [1, 2], "expected": 3}, {"assert": "add(0, 0) == 0"}], or {"stdin", "stdout"}
                      "solution": "    return a + b\\n"}
      MBPP           test_list, code, text or prompt, test_setup_code or test_imports
      HumanEval      test, prompt, entry_point, canonical_solution
      EvalPlus       a test with lists of `inputs` and `results`; or base_input and plus_input, or a test with
                     `inputs` alone: what is expected is what the solution returns, in the sandbox
      APPS, TACO     input_output (with fn_name or without), question, solutions, starter_code
      LiveCodeBench  public_test_cases, private_test_cases, question_content, starter_code, metadata
    Problems without a test are left out, which is said on stderr.

    Raises UsageError naming the file, the line and the field for anything that is missing or malformed.
    """
    problems, without_test = read_problems(source)
    if without_test:
        print(f"minirl: {len(without_test)} problems of {source} have no test and are left out", file=sys.stderr)
    if not problems:
        raise UsageError(f"the problem file {source} holds no problem")
    return problems


def read_problems(source: str | os.PathLike) -> tuple[list[Problem], list[str]]:
    """The problems of a file, and the task ids of those without a test; see load_problems."""
    path, _, numbers = (str(source), "", "") if Path(source).exists() else str(source).partition("#")
    if numbers and not re.fullmatch(r"\d+-\d+", numbers):
        raise UsageError(f"after the # of {source} come the numbers of the first and last task, such as #601-974")
    first, last = map(int, numbers.split("-")) if numbers else (0, 0)
    problems, without_test, seen = [], [], {}
    for number, row in read_rows(path):
        where = f"{path}, line {number}"
        if not isinstance(row, dict):
            raise UsageError(f"{where}: expected a JSON object, got {type(row).__name__}")
        reader = next((reader for field_name, reader in FORMATS.items() if field_name in row), _read_minirl)
        try:
            task_id, *parts = reader(row, number)
        except Exception as error:  # a row that is not what its format promises fails in many ways
            reason = error if isinstance(error, UsageError) else f"not as {reader.__name__[6:]} has it ({error!r:.200})"
            raise UsageError(f"{where}: {reason}") from None
        if task_id in seen:
            raise UsageError(f"{where}: field 'task_id': {task_id!r} was used before, on line {seen[task_id]}")
        seen[task_id] = number
        digits = re.findall(r"\d+", task_id)
        if numbers and not digits:
            raise UsageError(f"{where}: the task {task_id!r} has no number, so #{numbers} cannot choose it")
        if numbers and not first <= int(digits[-1]) <= last:
            continue
        if not parts[1]:
            without_test.append(task_id)
            continue
        try:
            problems.append(Problem(task_id, *parts))
        except UsageError as error:
            raise UsageError(f"{where}: field 'tests': {error}") from None
    return _with_expected_values(problems), without_test


def read_rows(path: str) -> Iterator[tuple[int, Any]]:
    """The JSON values of a file or URL, with their line numbers (or places in a list)."""
    file = download(path) if re.match(r"https?://", path) else Path(path)
    digits = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)  # APPS has integers of more digits than Python's default allows
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
            if lines.read(1) == "[":
                lines.seek(0)
                yield from enumerate(json.load(lines), 1)
                return
            lines.seek(0)
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError) as error:
                        raise UsageError(f"{path}, line {number}: not a JSON object ({error})") from None
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, json.JSONDecodeError) as error:
        hint = "; save it as JSON lines first" if ".parquet" in path else ""
        hint += f"; delete {file} to download it again" if file != Path(path) else ""
        raise UsageError(f"cannot read the problem file {path}: {error}{hint}") from None
    finally:
        sys.set_int_max_str_digits(digits)


def download(url: str) -> Path:
    """The file of a URL, from the cache or downloaded; a download that was interrupted goes on where it was."""
    name = re.sub(r"[^\w.-]+", "-", url.rpartition("/")[2].partition("?")[0]) or "problems"
    file = cache_folder() / "problems" / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    part = file.with_name(f"{file.name}.part")
    if file.exists():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as out:
            have = out.tell()
            request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
            with urllib.request.urlopen(request, timeout=30) as reply:
                if have and reply.status != 206:  # this server starts again
                    have = out.truncate(0)
                size = have + int(reply.headers["Content-Length"]) if reply.headers["Content-Length"] else None
                with tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=f"downloading {name}") as bar:
                    while block := reply.read(1 << 16):
                        out.write(block)
                        bar.update(len(block))
            if size not in (None, out.tell()):
                raise OSError(f"the connection ended after {out.tell()} of {size} bytes; the next try goes on there")
        part.rename(file)
    except (OSError, http.client.HTTPException, ValueError) as error:  # no network, no such page, no space, ...
        if isinstance(error, urllib.error.HTTPError) and error.code == 416:
            part.unlink()  # it has another size by now
        raise UsageError(f"cannot download {url}: {error}") from None
    return file


def _field(row: dict[str, Any], name: str, kinds: Any = str, default: Any = ...) -> Any:
    if name not in row and default is ...:
        raise UsageError(f"field '{name}' is missing")
    value = row.get(name, default)
    if not isinstance(value, kinds) and value is not default:
        wanted = {str: "a string", list: "a list"}.get(kinds[0] if isinstance(kinds, tuple) else kinds, "another type")
        raise UsageError(f"field '{name}' must be {wanted}, got {type(value).__name__}")
    return value


# Readers of the formats: a row -> task id, prompt, tests, entry point, solution


def _read_minirl(row: dict[str, Any], number: int) -> tuple:
    task_id, prompt = str(_field(row, "task_id", (str, int))), _field(row, "prompt")
    entry_point, solution = (_field(row, name, (str, type(None)), None) for name in ("entry_point", "solution"))
    tests = _field(row, "tests", list)
    try:
        return task_id, prompt, _plain_assertions(tests) or list(map(read_test, tests)), entry_point, solution
    except ValueError as error:
        raise UsageError(f"field 'tests': {error}") from None


def _plain_assertions(tests: list[Any]) -> list[Check]:
    """The tests of a problem if each of them is an assertion on one line; else nothing. To see that they are
    well-formed, those that differ in plain numbers and words alone are compiled once, and all at once: read_test takes
    many times as long."""
    if not all(isinstance(test, dict) and isinstance(test.get("assert"), str) for test in tests):
        return []
    codes = [code if code.startswith("assert") else f"assert {code}" for code in (test["assert"] for test in tests)]
    shapes = "\n".join({_PLAIN_LITERAL.sub("1", code) for code in codes})
    if all(map(_ONE_ASSERTION.match, codes)) and not re.search("\"{3}|'{3}", shapes):
        with contextlib.suppress(SyntaxError, ValueError):
            compile(shapes, "tests", "exec", optimize=1)  # makes no code of assertions
            return list(map(Check, codes))
    return []


_ONE_ASSERTION = re.compile(r"assert\b[^\n;]*\Z")
_PLAIN_LITERAL = re.compile(r"""(?<!\w)(?:[1-9]\d*\b|'\w*'(?!\.)|"\w*"(?!\.))""")


def _read_mbpp(row: dict[str, Any], number: int) -> tuple:
    code = _field(row, "code", str, "").replace("\r\n", "\n")
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or [])
    asserts = [text.replace("\r\n", "\n") for text in _field(row, "test_list", list)]
    called = [name for text in asserts[:1] for name in re.findall(r"(?<![.\w])(\w+)\s*\(", text)]
    defined = re.findall(r"^def\s+(\w+)", code, re.MULTILINE) or set(called) - {*dir(builtins), "assert", "not"}
    entry_point = next((name for name in called if name in defined), None)
    text = row.get("text") or _field(row, "prompt")
    prompt = "\n".join([text.strip(), "Your code must pass this test:", *asserts[:1]])
    tests = _listed_calls(row.get("test", "")) if entry_point else []
    tests = tests or [read_test({"assert": f"{setup}\n{text}"}) for text in asserts]
    return str(row.get("task_id", number)), prompt, tests, entry_point, code or None


def _read_humaneval(row: dict[str, Any], number: int) -> tuple:
    task_id, prompt, entry_point, test = (_field(row, name) for name in ("task_id", "prompt", "entry_point", "test"))
    tests = _listed_calls(test) or split_test_function(test, entry_point)
    return task_id, prompt, tests, entry_point, row.get("canonical_solution")


UNKNOWN = object()  # an expected value that the reference solution is yet to give


def _listed_calls(test: str) -> list[Call]:
    """The tests of code that walks over two lists, `inputs` and `results`, as EvalPlus writes them."""
    lists: dict[str, list[Any]] = {}
    if re.search(r"^ *inputs = ", test, re.MULTILINE):
        for node in ast.walk(ast.parse(test)):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("inputs", "results"):
                with contextlib.suppress(ValueError):  # not literal
                    lists[node.targets[0].id] = ast.literal_eval(node.value)
    if "inputs" not in lists or ("results" not in lists and "ref_func(" not in test):
        return []
    results = lists.get("results") or [UNKNOWN] * len(lists["inputs"])
    if "exp = set(exp)" in test:
        results = [functools.partial(_same_members, result) for result in results]
    return [Call(tuple(args), result) for args, result in zip(lists["inputs"], results, strict=True)]


def _same_members(expected: Any, value: Any) -> bool:
    return set(value) == set(expected)


def _read_evalplus(row: dict[str, Any], number: int) -> tuple:
    names = ("task_id", "prompt", "entry_point", "canonical_solution")
    task_id, prompt, entry_point, solution = (_field(row, name) for name in names)
    inputs = [*_field(row, "base_input", list), *(row.get("plus_input") or [])]
    return task_id, prompt, [Call(tuple(args), UNKNOWN) for args in inputs], entry_point, solution


def _with_expected_values(problems: list[Problem]) -> list[Problem]:
    """Fill in the values that reference solutions return; tests that they do not survive are left out."""
    unknown = [i for i, problem in enumerate(problems) if getattr(problem.tests[0], "expected", None) is UNKNOWN]
    if not unknown:
        return problems
    returned: dict[tuple[int, int], list[Any]] = {(i, t): [] for i in unknown for t in range(len(problems[i].tests))}
    with Sandbox(cpu_seconds=10.0, max_timeouts=1) as sandbox:
        futures = []
        for i in unknown:
            tests = [Call(test.args, returned[i, t].append) for t, test in enumerate(problems[i].tests)]
            program = problems[i].program(problems[i].solution)
            futures.append(sandbox.submit(Program(program.source, tests, program.entry_point)))
        for future in tqdm(futures, desc="asking the reference solutions what is expected", unit="problem"):
            future.result()
    for i in unknown:
        answers = [(test.args, returned[i, t]) for t, test in enumerate(problems[i].tests)]
        tests = [Call(args, values[0]) for args, values in answers if values and not isinstance(values[0], Opaque)]
        problems[i] = replace(problems[i], tests=tests) if tests else None
    return [problem for problem in problems if problem]


def _from_json(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) and text.strip() else text or None


def _json_call(args: list[Any], *expected: Any) -> Call:
    """A call described in JSON, which has neither tuples nor numbers as keys; any of the expected values is right."""

    def with_numbers(value: Any) -> Any:
        if not isinstance(value, dict) or not all(map(str.isdigit, value)):
            return value
        return {int(key): item for key, item in value.items()}

    return Call(tuple(map(with_numbers, args)), functools.partial(_equals_json, tuple(map(with_numbers, expected))))


def _equals_json(expected: tuple[Any, ...], value: Any) -> bool:
    def with_lists(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [with_lists(item) for item in value]
        return {k: with_lists(v) for k, v in value.items()} if isinstance(value, dict) else value

    return any(matches(option, encode(with_lists(value))) for option in expected)


def _read_apps(row: dict[str, Any], number: int) -> tuple:
    spec, solutions = _from_json(row["input_output"]) or {}, _from_json(row.get("solutions")) or [None]
    pairs = list(zip(spec.get("inputs") or [], spec.get("outputs") or [], strict=True))
    entry_point = spec.get("fn_name")
    if entry_point:  # what is expected may be wrapped in a list
        tests = [_json_call(args, output, *(output[:1] if isinstance(output, list) else [])) for args, output in pairs]
    else:
        tests = [StdIO(*("\n".join(map(str, x)) if isinstance(x, list) else str(x) for x in pair)) for pair in pairs]
    prompt = "\n\n".join(filter(None, [_field(row, "question").strip(), (row.get("starter_code") or "").strip()]))
    task_id = next((str(row[name]) for name in ("problem_id", "task_id", "id") if name in row), str(number))
    return task_id, prompt, tests, entry_point, solutions[0]


def _read_livecodebench(row: dict[str, Any], number: int) -> tuple:
    private = row.get("private_test_cases") or "[]"
    try:
        private = _from_json(private)
    except ValueError:  # packed: base64 of zlib of a pickled text
        private = json.loads(_TextUnpickler(io.BytesIO(zlib.decompress(base64.b64decode(private)))).load())
    entry_point, tests = (_from_json(row.get("metadata")) or {}).get("func_name"), []
    for test in [*(_from_json(row["public_test_cases"]) or []), *private]:
        given, wanted = test["input"], test["output"]
        if test["testtype"] == "functional":
            tests.append(_json_call([json.loads(line) for line in given.splitlines()], json.loads(wanted)))
        else:
            tests.append(StdIO(given, wanted))
    prompt, starter = _field(row, "question_content").strip(), (row.get("starter_code") or "").strip()
    prompt += f"\n\nYour program must start so:\n```python\n{starter}\n```" if starter else ""
    return str(_field(row, "question_id", (str, int))), prompt, tests, entry_point, None


class _TextUnpickler(pickle.Unpickler):
    """Unpickles plain data; a pickle that asks for anything else could run code here."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"the packed tests ask for {module}.{name}, which is not plain data")


FORMATS = {
    "tests": _read_minirl,
    "base_input": _read_evalplus,
    "test_list": _read_mbpp,
    "test": _read_humaneval,
    "input_output": _read_apps,
    "public_test_cases": _read_livecodebench,
}


def check_solutions(problems: Sequence[Problem], sandbox: Sandbox) -> dict[str, str]:
    """Run every reference solution. Returns, for each that does not pass all tests of its problem, the reason."""
    futures = {p.task_id: sandbox.submit(p.program(p.solution)) for p in problems if p.solution is not None}
    reasons = {}
    for task_id, future in tqdm(futures.items(), desc="running the reference solutions", unit="problem"):
        result = future.result()
        failed = [i for i, verdict in enumerate(result.verdicts) if verdict != Verdict.passed]
        if failed:
            mix = ", ".join(f"{n} {verdict}" for verdict, n in collections.Counter(result.verdicts).most_common())
            detail = f" ({result.details[failed[0]]:.150})" if result.details[failed[0]] else ""
            reasons[task_id] = f"{mix}; test {failed[0] + 1}: {result.verdicts[failed[0]]}{detail}"
    return reasons


# ----------------------------------------------------------------------------------------------------------------------
# 2. The toy: a grammar of small functions. Each problem fills three slots, and a program that fills them otherwise
#    passes some of the tests by accident: the near misses that pass-rate rewards pay for.


@dataclass(frozen=True)
class Family:
    """Problems of one shape. `filters`, `maps` and `reducers` go from the words of the prompt to the code."""

    sentence: str
    argument: str
    loop: str
    filters: dict[str, str]
    maps: dict[str, str]
    reducers: dict[str, str]
    constants: tuple[str, ...]  # what a lazy program returns


# fmt: off
_FILTERS = {
    "numbers": "", "even numbers": " if x % 2 == 0", "odd numbers": " if x % 2 == 1",
    "positive numbers": " if x > 0", "negative numbers": " if x < 0", "nonzero numbers": " if x != 0",
    "numbers above 5": " if x > 5", "numbers below 5": " if x < 5", "numbers divisible by 3": " if x % 3 == 0",
    "one-digit numbers": " if abs(x) < 10", "numbers from 2 to 7": " if 2 <= x <= 7",
}
FAMILIES = {
    "lists": Family(
        "Return the {reducer}{map}{filter} in xs.", "xs", "[{map} for x in xs{filter}]", _FILTERS,
        maps={
            "": "x", "squares of the ": "x * x", "doubles of the ": "2 * x", "negatives of the ": "-x",
            "absolute values of the ": "abs(x)", "successors of the ": "x + 1", "last digits of the ": "abs(x) % 10",
        },
        reducers={
            "": "{}", "sum of the ": "sum({})", "number of distinct ": "len(set({}))",
            "largest of the ": "max({}, default=0)", "smallest of the ": "min({}, default=0)",
            "first of the ": "({} or [0])[0]", "last of the ": "({} or [0])[-1]",
            "sorted ": "sorted({})", "reversed ": "{}[::-1]",
        },
        constants=("0", "[]", "xs"),
    ),
    "predicates": Family(
        "Return whether {reducer} {filter} in xs are {map}.", "xs", "[{map} for x in xs{filter}]", _FILTERS,
        maps={
            "even": "x % 2 == 0", "odd": "x % 2 == 1", "positive": "x > 0", "negative": "x < 0", "nonzero": "x != 0",
            "above 5": "x > 5", "below 5": "x < 5", "divisible by 3": "x % 3 == 0",
        },
        reducers={"all": "all({})", "any": "any({})", "no": "not any({})"},
        constants=("True", "False"),  # either passes half of the tests
    ),
    "strings": Family(
        "Return the {reducer}{filter} of s{map}.", "s", "[{map} for c in s{filter}]",
        filters={
            "characters": "", "vowels": ' if c in "aeiou"', "digits": " if c.isdigit()",
            "letters": " if c.isalpha()", "capitals": " if c.isupper()",
        },
        maps={"": "c", " in upper case": "c.upper()", " in lower case": "c.lower()", " each doubled": "2 * c"},
        reducers={
            "": "''.join({})", "dashed ": "'-'.join({})", "reversed ": "''.join({}[::-1])",
            "sorted ": "''.join(sorted({}))", "list of ": "{}", "number of ": "len({})",
            "last of the ": "({} or [''])[-1]",
        },
        constants=("s", "''", "0"),
    ),
}
# Reducers that take care of an empty list, and what they become when a programmer forgets it.
FORGETFUL = {
    "max({}, default=0)": "max({})", "min({}, default=0)": "min({})",
    "({} or [0])[0]": "{}[0]", "({} or [0])[-1]": "{}[-1]", "({} or [''])[-1]": "{}[-1]",
}
# fmt: on
TOY_TESTS = 10


@dataclass(frozen=True)
class ToyProblem(Problem):
    """A problem of the toy grammar, with the code that its three slots (filter, map, reducer) ask for."""

    family: Family | None = None
    slots: tuple[str, ...] = ()
    level: int = 0


def toy_problems(
    split: str = "train", families: Sequence[str] = tuple(FAMILIES), levels: Sequence[int] = (1, 2, 3)
) -> list[ToyProblem]:
    """The problems of the toy grammar, in a fixed random order.

    split     "train", or "test" (a tenth of every family, held out, also from the base model's warm start)
    families  names in FAMILIES
    levels    how many of the three slots ask for something: 1 (easy) to 3

    >>> print(toy_problems("test", ["lists"])[0].prompt)
    def f(xs):
        \"\"\"Return the sum of the squares of the even numbers in xs.\"\"\"
    """
    if split not in ("train", "test"):
        raise UsageError(f"the toy has the splits train and test, not {split!r}")
    problems = []
    for name in families:
        if name not in FAMILIES:
            raise UsageError(f"unknown toy family {name!r}; choose from {', '.join(FAMILIES)}")
        members = _family_problems(name)
        held_out = len(members) // 10
        problems += members[:held_out] if split == "test" else members[held_out:]
    problems = [problem for problem in problems if problem.level in levels]
    random.Random("order").shuffle(problems)
    return problems


@functools.cache
def _family_problems(name: str) -> list[ToyProblem]:
    family = FAMILIES[name]
    problems = []
    for entries in itertools.product(family.filters.items(), family.maps.items(), family.reducers.items()):
        words, slots = zip(*entries, strict=True)
        level = max(1, sum(code not in ("", "x", "c", "{}", "''.join({})") for code in slots))
        sentence = family.sentence.format(filter=words[0], map=words[1], reducer=words[2])
        prompt = f'def f({family.argument}):\n    """{sentence}"""\n'
        solution = toy_completion(family, slots)
        task_id = f"{name}/{level}/" + re.sub(r"\W+", "-", sentence.lower()).strip("-")
        tests = _toy_tests(task_id, prompt + solution, "" if name == "strings" else [])
        if tests:
            problems.append(ToyProblem(task_id, prompt, tests, "f", solution, family, slots, level))
    random.Random(name).shuffle(problems)
    return problems


def toy_completion(family: Family, slots: Sequence[str]) -> str:
    """The program that fills the slots so, as the policy writes it: everything after the prompt."""
    filter_, map_, reducer = slots
    return "    return " + reducer.replace("{}", family.loop.format(map=map_, filter=filter_)) + "\n"


def _toy_tests(task_id: str, source: str, empty: list | str) -> list[Call]:
    """Ten inputs, the empty one always among them, such that no constant passes more than half of the tests;
    no tests at all where 500 random inputs do not give that ("whether all positive numbers are nonzero")."""
    rng = random.Random(task_id)
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # our own reference solution, not a model's
    tests, seen, value = [], collections.Counter(), empty
    for _ in range(500):
        expected = namespace["f"](value)
        if seen[repr(expected)] < TOY_TESTS // 2:
            seen[repr(expected)] += 1
            tests.append(Call((value,), expected))
        if len(tests) == TOY_TESTS:
            return tests
        length = rng.randint(1, 7)
        if isinstance(empty, str):
            value = "".join(rng.choices("aeioubcdfAEIBCD0123- ", k=length))
        else:
            value = rng.choices(range(-12, 13), k=length)
    return []


def toy_mistakes(rng: random.Random, problem: ToyProblem, noise: float) -> str:
    """A completion as a careless programmer writes it: each slot is drawn at random with probability `noise`, the care
    for an empty list is forgotten even more often, and now and then it is a lazy constant."""
    family = problem.family
    if rng.random() < noise / 10:
        return f"    return {rng.choice(family.constants)}\n"
    slots = list(problem.slots)
    for i, options in enumerate((family.filters, family.maps, family.reducers)):
        if rng.random() < noise:
            slots[i] = rng.choice(list(options.values()))
    if rng.random() < min(0.9, 1.2 * noise):
        slots[2] = FORGETFUL.get(slots[2], slots[2])
    return toy_completion(family, slots)


# ----------------------------------------------------------------------------------------------------------------------
# 3. Policy: a causal language model of transformers, with its tokenizer


@dataclass
class Policy:
    """A language model that writes programs.

    model      what is trained: float32 weights, so that small updates are not rounded away
    eos_ids    every token that ends a completion (models often have several)
    pad_id     fills the places that masks hide; may equal an end token, since nothing reads it
    context    tokens the model can attend to, prompt and completion together
    precision  the type of the model's arithmetic; bfloat16 is the faster one on a GPU
    sampler    the copy of the model that samples, in that precision; in float32 the model itself does
    decoder    its buffers and CUDA graphs, kept from one batch to the next

    prompt_style    chat: the task in the model's chat template, with a short instruction; completion: code to go on
                    with; verbatim: Problem.prompt, and nothing but an end token ends a completion

    shares_prompts  the update runs a prompt once for its group, which attends to the prompt's keys and values
    splits_head     logits are the head of hidden states and nothing else, so they can be made a chunk at a time
    """

    model: Any
    tokenizer: Any
    eos_ids: tuple[int, ...]
    pad_id: int
    context: int
    precision: torch.dtype = torch.float32
    sampler: Any = None
    decoder: Any = None
    prompt_style: str = "verbatim"
    shares_prompts: bool = True
    splits_head: bool = True

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def is_sharded(self) -> bool:
        return isinstance(self.model, FSDPModule)

    @property
    def layers(self) -> list[torch.nn.Module]:
        from transformers.modeling_layers import GradientCheckpointingLayer

        return [module for module in self.model.modules() if isinstance(module, GradientCheckpointingLayer)]

    def prompt_ids(self, problem: Problem) -> list[int]:
        """The tokens that the model reads before it writes."""
        if self.prompt_style == "chat":
            kind = "code" if problem.before_function is not None else "function" if problem.entry_point else "program"
            task = INSTRUCTIONS[kind].format(prompt=problem.prompt.strip(), entry_point=problem.entry_point)
            messages = [{"role": "user", "content": task}]
            settings = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
            return _encode(self, self.tokenizer.apply_chat_template(messages, **settings))
        text = problem.prompt
        if self.prompt_style == "completion" and problem.before_function is None and not text.endswith("\n"):
            text = f'"""\n{text}\n"""\n'  # a task in words
        ids = self.tokenizer(text)["input_ids"]  # may open with a token that begins every text
        return ids[:-1] if ids[-1:] == [self.tokenizer.eos_token_id] and len(ids) > 1 else ids  # ... but not end it

    @functools.cached_property
    def may_end_answer(self) -> torch.Tensor:
        """Which tokens hold what can end an answer, a backtick in a chat, else a newline: [V] bool."""
        found = torch.zeros(self.model.config.get_text_config().vocab_size, dtype=torch.bool)
        marks = {"chat": ("`",), "completion": ("\n", "Ċ", "<0x0A>"), "verbatim": ()}[self.prompt_style]
        for token, i in self.tokenizer.get_vocab().items():
            if i < len(found):
                found[i] = any(mark in token for mark in marks)
        return found.to(self.device)

    def recompute_activations(self) -> None:
        """Gradient checkpointing: keep the inputs of the layers only, and run each again in the backward pass."""
        self.shares_prompts = False  # running a layer again would write its keys and values again
        for layer in self.layers:
            layer.forward = functools.partial(torch.utils.checkpoint.checkpoint, layer.forward, use_reentrant=False)

    def shard(self) -> None:
        """Split weights, gradients and optimizer state over the processes (FSDP2). The sampler stays whole."""
        self.make_sampler()
        self.shares_prompts = self.splits_head = False  # weights are there only while the whole model runs
        for module in (*self.layers, self.model):
            fully_shard(module)

    def make_sampler(self) -> None:
        """Give the policy a sampler of its own. Only weights change their type: the frequencies of rotary positions,
        in bfloat16, would be wrong."""
        self.sampler = copy.deepcopy(self.model)
        for parameter in self.sampler.parameters():
            parameter.data = parameter.data.to(self.precision)
            parameter.requires_grad = False

    @torch.no_grad()
    def refresh_sampler(self) -> None:
        """Copy the weights to the sampler, in place: CUDA graphs hold on to the memory."""
        if self.sampler:
            for copied, parameter in zip(self.sampler.parameters(), self.model.parameters(), strict=True):
                copied.copy_(whole(parameter))


# What a chat model is asked, for a prompt that is code, one that wants a function, and one that wants a program.
INSTRUCTIONS = {
    "code": "Complete this Python function. Answer with the whole function in one ```python block.\n\n"
    "```python\n{prompt}\n```",
    "function": "{prompt}\n\nAnswer with the Python function `{entry_point}` in one ```python block.",
    "program": "{prompt}\n\nRead standard input and write to standard output. "
    "Answer with the whole Python program in one ```python block.",
}


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of which this process may hold a shard."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def load_policy(
    name: str,
    toy_noise: float = 0.47,
    device: str = "cpu",
    precision: str = "auto",
    prompt_style: str = "auto",
    toy_seed: int = 0,
) -> Policy:
    """Load a policy: "toy", a model id of the Hugging Face hub, a directory written by save_pretrained, a run folder,
    or a .gguf file.

    toy_noise     how careless the toy's base model learnt to be; a higher noise is a weaker base
    toy_seed      of the base model's first weights and of what it has read
    precision     float32, bfloat16, or auto: bfloat16 on a GPU that has it
    prompt_style  chat, completion, verbatim (see Policy), or auto: chat for a tokenizer with a chat template,
                  verbatim for the toy, which has learnt to end what it writes, else completion
    Raises UsageError where there is no such model, or no such device.
    """
    device = _device(device)
    model, tokenizer = _toy_base(toy_noise, toy_seed) if name == "toy" else _pretrained(name)
    if precision == "auto":
        precision = "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
    policy = make_policy(model.to(device), tokenizer, getattr(torch, precision))
    if prompt_style == "chat" and not tokenizer.chat_template:
        raise UsageError(f"the model {name!r} has no chat template; choose --prompt-style completion")
    policy.prompt_style = prompt_style
    if prompt_style == "auto":
        policy.prompt_style = "chat" if tokenizer.chat_template else "verbatim" if is_toy(name) else "completion"
    return policy


def _pretrained(name: str) -> tuple[Any, Any]:
    """Model and tokenizer of a directory, a run folder, a .gguf file or a model id, with weights in float32."""
    from huggingface_hub import model_info
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(name)
    folder, settings, no_hub = find_checkpoint(path) or path, {}, None
    if path.suffix == ".gguf" and path.is_file():
        folder, settings = path.parent, {"gguf_file": path.name}
        missing = [package for package in ("gguf", "accelerate") if not importlib.util.find_spec(package)]
        if missing:
            raise UsageError(f"reading {name} takes packages that are missing: pip install {' '.join(missing)}")
    elif not path.exists():
        folder = name
        try:
            model_info(name, timeout=10.0)  # asks once; loading would try for a minute
        except Exception as error:  # the model may have been downloaded before
            settings, no_hub = {"local_files_only": True}, error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **settings)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **settings)
    except Exception as error:  # transformers raises many kinds
        raise UsageError(
            f"cannot load the model {name!r}: {_why_not_loaded(name, no_hub or error, bool(no_hub))}"
        ) from None
    if "gguf_file" in settings:  # a model that was never quantized, so that it can be saved
        quantized, config = model, model.config
        config.__dict__.pop("quantization_config", None)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.load_state_dict(quantized.state_dict())
    return model, tokenizer


def _why_not_loaded(name: str, error: BaseException, no_answer: bool) -> str:
    """What went wrong, and the way out; no_answer: the hub was asked, and said nothing."""
    from huggingface_hub import constants, errors

    cause: BaseException | None = error
    while cause:  # transformers wraps the errors of the hub
        if isinstance(cause, errors.GatedRepoError):
            return f"its authors ask you to accept their terms at {constants.ENDPOINT}/{name}; then run: hf auth login"
        if isinstance(cause, errors.HFValidationError):
            return "there is no such folder or file"
        if isinstance(cause, errors.RepositoryNotFoundError):
            return "there is no such folder, and no such model on the hub; if it is a private one, run: hf auth login"
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return f"no space is left; make room in {constants.HF_HOME}, or name another folder by HF_HOME"
        cause = cause.__cause__ or cause.__context__
    words = f"there is no such folder, and no answer from the hub ({_first_line(error)}); download it where there is a "
    return f"{words}network, and give its folder" if no_answer else _first_line(error)


def make_policy(model: Any, tokenizer: Any, precision: torch.dtype = torch.float32) -> Policy:
    """Wrap a transformers model and tokenizer. Dropout is switched off for good: the policy that is trained must be
    the policy that sampled, or the importance ratio of on-policy samples is not 1."""
    eos_ids: set[int] = set()
    of_generation = model.generation_config and model.generation_config.eos_token_id
    for ids in (of_generation, model.config.get_text_config().eos_token_id, tokenizer.eos_token_id):
        eos_ids |= set(ids if isinstance(ids, list) else [ids]) - {None}
    if not eos_ids:
        raise UsageError("the tokenizer has no end-of-sequence token, so completions would not end; set its eos_token")
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(eos_ids)
    context = getattr(model.config, "max_position_embeddings", None) or 1 << 30
    if model.config._attn_implementation == "sdpa":
        _share_key_heads(model)
    policy = Policy(model.eval(), tokenizer, tuple(sorted(eos_ids)), pad_id, context, precision)
    base, head, ids = model.base_model, model.get_output_embeddings(), torch.arange(4, device=model.device)[None]
    with torch.no_grad():
        policy.splits_head = base is not model and head is not None and head(base(ids)[0]).equal(model(ids).logits)
    if not _reads_padded_rows(policy):
        raise UsageError(
            f"a {type(model).__name__} cannot be used: it does not read padded rows and a cache as newer models do"
        )
    if precision != torch.float32:
        policy.make_sampler()
    return policy


@torch.no_grad()
def _reads_padded_rows(policy: Policy) -> bool:
    """Does a token written after padded prompts get the logits that it gets alone? Some old architectures mind neither
    position ids nor masks such as the decoder's; their samples would be wrong without a word."""
    numbers = [i % policy.model.config.get_text_config().vocab_size for i in range(11)]
    prompts, tokens = [numbers[:6], numbers[6:9]], torch.tensor(numbers[9:], device=policy.device)
    ids, mask = _pad(policy, prompts, side="left")
    cache = Cache(layer_class_to_replicate=DynamicLayer)
    try:
        inputs = {"attention_mask": mask, "position_ids": _positions(mask), _cache_name(type(policy.model)): cache}
        policy.model(ids, **inputs, use_cache=True)
        decoder = _Decoder(policy.model, cache, rows=2, tokens=8)
        decoder.rounds = False
        decoder.start(cache, mask, torch.arange(2, device=policy.device))
        together = decoder.step(tokens)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError):
        return False
    rows = [
        torch.tensor([[*prompt, token]], device=policy.device) for prompt, token in zip(prompts, tokens, strict=True)
    ]
    alone = torch.cat([policy.model(row, use_cache=False).logits[:, -1] for row in rows])
    return bool((together - alone).abs().max() <= 0.05 * alone.std() + 1e-4)


@functools.cache
def _cache_name(architecture: type) -> str:
    """Under which name a model takes its keys and values: newer versions of transformers have changed it."""
    return "cache" if "cache" in inspect.signature(architecture.forward).parameters else "past_key_values"


def _share_key_heads(model: Any) -> None:
    """Let the G query heads that share a key head be G queries of it while one token is written: [N, heads, 1, dim] ->
    [N, key heads, G, dim]. Older versions of transformers copy all keys and values G times instead."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **kwargs: Any):
        heads, key_heads = query.shape[1], key.shape[1]
        if query.shape[2] > 1 or heads == key_heads or mask is None or mask.shape[1] > 1:
            return sdpa_attention_forward(module, query, key, value, mask, **kwargs)
        packed = query.reshape(len(query), key_heads, heads // key_heads, query.shape[-1])
        output = F.scaled_dot_product_attention(packed, key, value, mask, scale=kwargs.get("scaling"))
        return output.reshape(len(query), 1, heads, value.shape[-1]), None

    AttentionInterface.register("grouped_sdpa", attend)
    AttentionMaskInterface.register("grouped_sdpa", sdpa_mask)
    model.set_attn_implementation("grouped_sdpa")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"cannot use the device {name!r} here: {_first_line(error)}") from None
    return name


# The toy's base model is warm-started on careless solutions, as a real base model has read buggy code.
TOY_VOCABULARY = 512
TOY_MODEL = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}
TOY_CONTEXT = 128
WARM_STEPS, WARM_BATCH, WARM_LR = 300, 48, 3e-3


def _toy_tokenizer(problems: Sequence[ToyProblem]) -> Any:
    """A byte-level BPE tokenizer of 512 tokens: about 20 tokens a prompt, 20 a solution."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOY_VOCABULARY,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for p in problems for text in (p.prompt, p.solution)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def _warm_start(noise: float, seed: int) -> tuple[Any, Any]:
    """Train the toy's base model from scratch, by cross-entropy on careless solutions of the training problems."""
    from transformers import LlamaConfig, LlamaForCausalLM

    problems = toy_problems("train")
    tokenizer = _toy_tokenizer(problems)
    config = LlamaConfig(
        vocab_size=TOY_VOCABULARY,
        max_position_embeddings=TOY_CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        **TOY_MODEL,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    policy = make_policy(model, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=WARM_LR, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, WARM_LR, WARM_STEPS, pct_start=0.1)
    rng = random.Random(seed)
    with tqdm(total=WARM_STEPS, desc="warm-starting the toy's base model (once)", unit="step") as bar:
        for _ in range(WARM_STEPS):
            batch = rng.choices(problems, k=WARM_BATCH)
            prompts = _pad(policy, [_encode(policy, problem.prompt) for problem in batch], side="left")
            solutions = [_encode(policy, toy_mistakes(rng, problem, noise)) for problem in batch]
            completions = _pad(policy, [ids + [tokenizer.eos_token_id] for ids in solutions], side="right")
            logprobs = token_logprobs(policy, *prompts, *completions)
            loss = -(logprobs * completions[1]).sum() / completions[1].sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}")
            bar.update()
    return model, tokenizer


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minirl"


def _toy_base(noise: float, seed: int) -> tuple[Any, Any]:
    """The toy's base model from the cache, or made anew (about a minute on two cores) and cached.

    The folder's name is a digest of everything that determines the weights, so a changed recipe finds no stale model.
    """
    import transformers
    from transformers import AutoTokenizer, LlamaForCausalLM

    if not 0 <= noise <= 1:
        raise UsageError(f"toy_noise is a probability, from 0 to 1, got {noise}")
    recipe = [noise, seed, TOY_VOCABULARY, TOY_MODEL, TOY_CONTEXT, WARM_STEPS, WARM_BATCH, WARM_LR, FORGETFUL]
    recipe += [torch.__version__, transformers.__version__]
    recipe += [(problem.prompt, problem.slots) for problem in toy_problems("train")]
    recipe += [asdict(family) for family in FAMILIES.values()]
    functions = (toy_mistakes, toy_completion, _toy_tokenizer, _warm_start, token_logprobs)
    recipe += [inspect.getsource(function) for function in functions]
    folder = cache_folder() / f"toy-{noise:g}-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}"
    if folder.exists():
        try:
            for name, digest in json.loads((folder / "digests.json").read_text()).items():
                if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                    raise OSError(f"{name} has changed")
            return LlamaForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, AttributeError) as error:
            print(f"minirl: the cached base model in {folder} is damaged ({error}); making it anew", file=sys.stderr)
    model, tokenizer = _warm_start(noise, seed)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            made = Path(scratch) / "toy"
            model.save_pretrained(made)
            tokenizer.save_pretrained(made)
            digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in made.iterdir()}
            (made / "digests.json").write_text(json.dumps(digests))
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    except OSError as error:
        print(f"minirl: the base model could not be cached in {folder} ({error})", file=sys.stderr)
    return model, tokenizer


# ----------------------------------------------------------------------------------------------------------------------
# 4. Sampling: each problem gets a group of G completions, drawn from the policy at temperature T


@dataclass
class Rollout:
    """A batch of sampled groups. P problems, G samples a group, L completion tokens.

    prompt_ids, prompt_mask          [P, prompt tokens]  left-padded
    completion_ids, completion_mask  [P, G, L]           right-padded; the mask covers the end token and nothing after
    logprobs, entropy                [P, G, L]           of each sampled token, in nats, at the sampling temperature
    completions                      P lists of G texts
    results                          what sample() submitted to a sandbox: (p, text) -> Future[sandbox.Result]
    verdicts                         [p][g][t], filled by grade()
    verbatim                         completions are programs as they stand (Policy.prompt_style)
    """

    prompt_ids: torch.Tensor
    prompt_mask: torch.Tensor
    completion_ids: torch.Tensor
    completion_mask: torch.Tensor
    logprobs: torch.Tensor
    entropy: torch.Tensor
    completions: list[list[str]]
    temperature: float
    results: dict[tuple[int, str], Any] = field(default_factory=dict)
    verdicts: list[list[tuple[Verdict, ...]]] = field(default_factory=list)
    verbatim: bool = False


def _encode(policy: Policy, text: str) -> list[int]:
    return policy.tokenizer(text, add_special_tokens=False)["input_ids"]


def _encode_prompts(policy: Policy, problems: Sequence[Problem], max_new_tokens: int) -> list[list[int]]:
    prompts = []
    for problem in problems:
        ids = policy.prompt_ids(problem)
        if not ids or len(ids) + max_new_tokens > policy.context:
            raise UsageError(
                f"the prompt of {problem.task_id} has {len(ids)} tokens; with max_new_tokens {max_new_tokens} and the "
                f"model's context of {policy.context} it must have 1 to {policy.context - max_new_tokens}"
            )
        prompts.append(ids)
    return prompts


def _pad(policy: Policy, rows: Sequence[list[int]], side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of different lengths as one tensor, and the mask of what is real: both [rows, longest]."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), policy.pad_id)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        place = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        ids[i, place] = torch.tensor(row)
        mask[i, place] = True
    return _to_device(ids, policy.device), _to_device(mask, policy.device)


def _to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a tensor without making the CPU wait, which takes pinned memory."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """Position ids that count real tokens only, so that padding moves nothing: [rows, tokens] -> the same."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


class _StaticLayer(DynamicLayer):
    """Keys and values of one attention layer, in buffers made once: [rows, heads, tokens, dim]."""

    def __init__(self, decoder: _Decoder, like: DynamicLayer):
        super().__init__()
        self.is_initialized, self.decoder = True, decoder
        shapes = [(decoder.rows, x.shape[1], decoder.tokens, x.shape[3]) for x in (like.keys, like.values)]
        make = like.keys.new_zeros if decoder.rounds else like.keys.new_empty  # what is masked is read, too
        self.buffers = [make(shape) for shape in shapes]

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        rows, length = len(keys), self.decoder.length
        for buffer, new in zip(self.buffers, (keys, values), strict=True):
            buffer[:rows].index_copy_(2, self.decoder.place, new)
        return self.buffers[0][:rows, :, :length], self.buffers[1][:rows, :, :length]

    def get_seq_length(self) -> int:
        return self.decoder.length - 1  # tokens before the new one


class _Decoder:
    """Runs a model one token at a time, for many rows at once, over keys and values in buffers made once.

    On CUDA a step is captured as a graph, or else launching its hundreds of small kernels takes many times their
    running time. A graph has fixed shapes: so rows and tokens are rounded up to one of a few sizes, what is too many
    is masked, and there is a graph for every pair of sizes that was met. Elsewhere sizes are exact.
    """

    def __init__(self, model: Any, cache: Cache, rows: int, tokens: int):
        window = getattr(model.config.get_text_config(), "sliding_window", None)
        self.model, self.rows, self.tokens = model, rows, tokens
        takes_bool_mask = model.config._attn_implementation in ("sdpa", "grouped_sdpa")
        self.makes_own_mask = takes_bool_mask and (not window or tokens <= window)  # the model's own know its windows
        self.rounds = model.device.type == "cuda" and self.makes_own_mask
        self.ids = torch.zeros(rows, 1, dtype=torch.long, device=model.device)
        self.positions = torch.zeros_like(self.ids)
        self.mask = torch.zeros(rows, 1, 1, tokens, dtype=torch.bool, device=model.device)  # tokens to attend to
        self.place = torch.zeros(1, dtype=torch.long, device=model.device)  # where the new token's keys go
        self.written = self.length = 0  # tokens in the buffers, and how many of their places attention runs over
        self.cache = Cache(layers=[_StaticLayer(self, layer) for layer in cache.layers])
        self.graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self.logits: torch.Tensor | None = None

    def start(self, cache: Cache, prompt_mask: torch.Tensor, prompt_of: torch.Tensor) -> None:
        """Give the first rows the keys and values of their prompts."""
        rows, self.written = len(prompt_of), prompt_mask.shape[1]
        for layer, prompts in zip(self.cache.layers, cache.layers, strict=True):
            for buffer, states in zip(layer.buffers, (prompts.keys, prompts.values), strict=True):
                buffer[:rows, :, : self.written] = states[prompt_of]
        self.mask.fill_(False)
        self.mask[:rows, 0, 0, : self.written] = prompt_mask[prompt_of]
        self.positions[:rows] = prompt_mask.sum(-1, keepdim=True)[prompt_of] - 1
        self.place.fill_(self.written - 1)

    @torch.inference_mode()
    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """The logits after one more token in each of the first rows: [rows] -> [rows, V]."""
        rows, count = len(ids), len(ids)
        self.ids[:rows, 0] = ids
        self.positions[:rows] += 1
        self.mask[:, :, :, self.written] = True  # in rows without a prompt too: attention to nothing may be NaN
        self.place += 1
        self.written += 1
        self.length = self.written
        if self.rounds:
            sizes = (size for power in range(self.rows.bit_length()) for size in (2**power, 3 * 2**power // 2))
            count = min(self.rows, next(size for size in (*sizes, self.rows) if size >= rows))
            self.length = min(self.tokens, -(-self.written // 128) * 128)
        return (self._replay(count) if self.rounds else self._run(count))[:rows]

    def branch(self, row_of: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples that wrote the same so far share a row. Give those that part from now on rows of their own.

        row_of, tokens [samples]: the row of every sample that goes on, and its next token. Returns the new row of every
        sample, and the token of every row. Rows without a sample are taken first, so a batch shrinks as samples end.
        """
        width = int(tokens.max()) + 1
        rows, branch_of = torch.unique(row_of * width + tokens, return_inverse=True)
        parents, tokens = rows // width, rows % width
        stays = torch.ones_like(parents, dtype=torch.bool)
        stays[1:] = parents[1:] != parents[:-1]  # the first branch of every row
        stays &= parents < len(rows)
        is_free = torch.ones_like(stays)
        is_free[parents[stays]] = False
        places = parents.clone()
        places[~stays] = is_free.nonzero().squeeze(-1)
        moved, new = parents[~stays], places[~stays]
        if len(moved):
            for layer in self.cache.layers:
                for buffer in layer.buffers:
                    written = buffer[:, :, : self.written]
                    written.index_copy_(0, new, written.index_select(0, moved))
            self.mask[new], self.positions[new] = self.mask[moved], self.positions[moved]
        return places[branch_of], torch.empty_like(tokens).index_copy_(0, places, tokens)

    def _run(self, rows: int) -> torch.Tensor:
        mask = self.mask[:rows, :, :, : self.length]
        return self.model(
            self.ids[:rows],
            attention_mask=mask if self.makes_own_mask else mask[:, 0, 0],
            position_ids=self.positions[:rows],
            use_cache=True,
            **{_cache_name(type(self.model)): self.cache},
        ).logits[:, -1]

    def _replay(self, rows: int) -> torch.Tensor:
        if (rows, self.length) not in self.graphs:
            logits = self._run(rows)  # what libraries prepare at their first call must not be met while capturing
            if self.logits is None:
                self.logits = logits.new_empty(self.rows, logits.shape[-1])
            torch.cuda.synchronize()
            pool = next(iter(self.graphs.values())).pool() if self.graphs else None
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool):
                self.logits[:rows] = self._run(rows)
            self.graphs[rows, self.length] = graph
        self.graphs[rows, self.length].replay()
        return self.logits[:rows]


def _draw(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """The token at which the cumulative probability exceeds a number of [0, 1): [rows, V], [rows] -> [rows]."""
    cumulative = probabilities.cumsum(-1)
    threshold = uniform.clamp(max=1 - 2**-24).unsqueeze(-1) * cumulative[:, -1:]  # the sum is 1 but for rounding
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)


LOOK_EVERY = {"cuda": 16}  # tokens; a look at what has been written makes the CPU wait for the GPU


@torch.no_grad()
def sample(
    policy: Policy,
    problems: Sequence[Problem],
    group_size: int,
    *,
    max_new_tokens: int = 32,
    temperature: float = 1.0,
    seed: int = 0,
    places: Sequence[int] | None = None,
    sandbox: Sandbox | None = None,
) -> Rollout:
    """Draw a group of completions for every problem: plain ancestral sampling from the full distribution.

    No top-k, no top-p and no repetition penalty, whatever the checkpoint's generation_config says: log-probabilities
    of the full vocabulary would not be those of the samples. Temperature 0 is greedy decoding.

    The random numbers of a group depend on the seed and the group's place in the batch alone. So processes that share a
    batch, each of them with the `places` of its problems, draw what one process would.
    With a sandbox, every program is submitted when it ends, and is graded while the others are still being written.
    """
    model, device = policy.sampler or policy.model, policy.device
    places = range(len(problems)) if places is None else places
    generators = [torch.Generator().manual_seed(_seed(seed, place)) for place in places]
    uniforms = torch.cat([torch.rand(group_size, max_new_tokens, generator=generator) for generator in generators])
    uniforms = _to_device(uniforms, device)
    prompts = _encode_prompts(policy, problems, max_new_tokens)
    prompt_ids, prompt_mask = _pad(policy, prompts, side="left")
    rows, shape = len(problems) * group_size, (len(problems) * group_size, max_new_tokens)
    completion_ids = torch.full(shape, policy.pad_id, device=device)
    completion_mask = torch.zeros(shape, dtype=torch.bool, device=device)
    logprobs, entropy = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    end_tokens = torch.tensor(policy.eos_ids, device=device)
    texts, results, verbatim = [""] * rows, {}, policy.prompt_style == "verbatim"
    begins = [prompt[-1:] for prompt in prompts]  # decoding starts before the completion: it may begin with a space
    skipped = [len(policy.tokenizer.decode(ids)) for ids in begins]

    def text_of(row: int, ids: list[int]) -> str:
        p = row // group_size
        ids = begins[p] + [token for token in ids if token not in policy.eos_ids]
        return policy.tokenizer.decode(ids, clean_up_tokenization_spaces=False)[skipped[p] :]

    def answer_length(row: int, since: int) -> int:
        """The number of tokens after which a sample holds its answer, which it did not at `since`; 0: not yet."""
        ids, problem = completion_ids[row][completion_mask[row]].tolist(), problems[row // group_size]
        in_chat = policy.prompt_style == "chat"
        if not has_answer(problem, text_of(row, ids), in_chat):
            return 0
        lengths = range(since + 1, len(ids))
        return next((n for n in lengths if has_answer(problem, text_of(row, ids[:n]), in_chat)), len(ids))

    # Read every prompt once; its group shares the keys and values.
    cache = Cache(layer_class_to_replicate=DynamicLayer)
    logits = model(
        prompt_ids,
        attention_mask=prompt_mask,
        position_ids=_positions(prompt_mask),
        use_cache=True,
        logits_to_keep=1,
        **{_cache_name(type(model)): cache},
    ).logits[:, -1]
    decoder = _decoder_for(policy, model, cache, rows, prompt_mask.shape[1] + max_new_tokens)
    samples = torch.arange(rows, device=device)  # that are being written
    prompt_of = samples // group_size
    look_every = LOOK_EVERY.get(device.type, 1)
    if look_every == 1:  # samples that have written the same so far share a row of the batch
        row_of = prompt_of
        decoder.start(cache, prompt_mask, torch.arange(len(problems), device=device))
    else:
        row_of, logits = samples, logits[prompt_of]
        decoder.start(cache, prompt_mask, prompt_of)
    ended = may_be_over = torch.zeros_like(samples, dtype=torch.bool)
    for position in range(max_new_tokens):
        distribution = torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)  # [rows, V]
        if temperature == 0:
            tokens = distribution.argmax(-1)[row_of]
        else:
            tokens = _draw(distribution.exp()[row_of], uniforms[samples, position])
        completion_ids[samples, position] = tokens
        completion_mask[samples, position] = ~ended
        logprobs[samples, position] = distribution[row_of, tokens]
        entropy[samples, position] = _entropy(distribution)[row_of]
        ended = ended | torch.isin(tokens, end_tokens)
        may_be_over = may_be_over | (policy.may_end_answer[tokens] & ~ended)
        is_last = position == max_new_tokens - 1
        if is_last or position % look_every == look_every - 1:
            for i in may_be_over.nonzero().squeeze(-1).tolist():
                if length := answer_length(int(samples[i]), since=position - position % look_every):
                    completion_mask[samples[i], length:] = False
                    ended[i] = True
            over = samples if is_last else samples[ended]
            ids_and_masks = zip(completion_ids[over].cpu(), completion_mask[over].cpu(), strict=True)
            for row, (ids, mask) in zip(over.tolist(), ids_and_masks, strict=True):
                texts[row] = text_of(row, ids[mask].tolist())
                p = row // group_size
                if sandbox and (p, texts[row]) not in results:
                    results[p, texts[row]] = sandbox.submit(problems[p].program(texts[row], verbatim))
            if len(over) == len(samples):
                break
            samples, row_of, tokens = samples[~ended], row_of[~ended], tokens[~ended]
            ended = may_be_over = torch.zeros_like(samples, dtype=torch.bool)
            row_of, tokens = decoder.branch(row_of, tokens)
            row_of, order = row_of.sort()
            samples = samples[order]
        logits = decoder.step(tokens)

    completion_ids.masked_fill_(~completion_mask, policy.pad_id)
    for values in (logprobs, entropy):
        values.masked_fill_(~completion_mask, 0.0)
    length = int(completion_mask.sum(-1).max())
    grouped = (len(problems), group_size, length)
    return Rollout(
        prompt_ids,
        prompt_mask,
        completion_ids[:, :length].reshape(grouped),
        completion_mask[:, :length].reshape(grouped),
        logprobs[:, :length].reshape(grouped),
        entropy[:, :length].reshape(grouped),
        [texts[p * group_size : (p + 1) * group_size] for p in range(len(problems))],
        temperature,
        results,
        verbatim=verbatim,
    )


def _decoder_for(policy: Policy, model: Any, cache: Cache, rows: int, tokens: int) -> _Decoder:
    """A decoder of at least that size. It is kept: graphs take seconds to capture, and large buffers that come and go
    leave a process's memory in pieces."""
    old = policy.decoder
    if not old or old.model is not model or old.rows < rows or old.tokens < tokens:
        policy.decoder = None  # its memory is free before the new one is made
        tokens = -(-tokens // 128) * 128 if model.device.type == "cuda" else tokens
        policy.decoder = _Decoder(model, cache, rows, tokens)
    return policy.decoder


@contextlib.contextmanager
def cores_for(policy: Policy, sandbox: Sandbox | None):
    """Leave half of the cores to a sandbox that grades while a small model samples on the CPU. A larger one spends so
    much more on a program than the sandbox does that it had better keep them. (Which cores, must not depend on the
    clock: sums are rounded differently on one core and on two.)"""
    threads = torch.get_num_threads()
    try:
        if sandbox and sum(parameter.numel() for parameter in policy.model.parameters()) < SMALL_MODEL:
            torch.set_num_threads(max(1, threads // 2))
        yield
    finally:
        torch.set_num_threads(threads)


SMALL_MODEL = 20_000_000  # parameters


def _entropy(logprobs: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of distributions given by their log-probabilities: [..., V] -> [...]. Uniform ones have log V."""
    return torch.special.entr(logprobs.exp()).sum(-1)


# ----------------------------------------------------------------------------------------------------------------------
# 5. Outcomes: every completion meets every test of its problem, in the sandbox


def grade(problems: Sequence[Problem], rollout: Rollout, sandbox: Sandbox) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the rollout's programs. Returns outcomes [P, G, T] (True: passed) and mask [P, G, T] (True: the test exists).

    Problems may have different numbers of tests; T is the largest. Also fills rollout.verdicts, which say why a
    test failed. A test that the sandbox could not run, after a retry (Verdict.sandbox_error), counts as failed.
    """
    for p, problem in enumerate(problems):  # sample() may have submitted them; identical programs run once
        for text in set(rollout.completions[p]) - {text for place, text in rollout.results if place == p}:
            rollout.results[p, text] = sandbox.submit(problem.program(text, rollout.verbatim))
    rollout.verdicts = [
        [rollout.results[p, text].result().verdicts for text in texts] for p, texts in enumerate(rollout.completions)
    ]
    shape = (len(problems), len(rollout.completions[0]), max(len(problem.tests) for problem in problems))
    outcomes, mask = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for p, group in enumerate(rollout.verdicts):
        for g, verdicts in enumerate(group):
            outcomes[p, g, : len(verdicts)] = torch.tensor([verdict == Verdict.passed for verdict in verdicts])
            mask[p, g, : len(verdicts)] = True
    return outcomes, mask


# ----------------------------------------------------------------------------------------------------------------------
# 6. Rewards: outcomes [P, G, T] and mask [P, G, T] -> rewards [P, G]. To add one, write a function and an entry.


def binary(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """1 if every test passes, else 0: what we want, and sparse. [P, G, T] -> [P, G].

    R = 1[all tests pass].  Outcomes 1111 and 1110 get 1 and 0.
    """
    return (outcomes | ~mask).all(-1).float()


def pass_rate(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The share of the tests that pass: denser, and a surrogate. [P, G, T] -> [P, G].

    R = passed / tests.  Outcomes 1111 and 1110 get 1 and 0.75.
    """
    return (outcomes & mask).sum(-1) / mask.sum(-1)


def gated(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The pass rate only while nobody in the group fully passes; else binary. [P, G, T] -> [P, G].

    A group 1111 1110 0000 gets 1 0 0; a group 1110 1000 0000 gets 0.75 0.25 0. A partial pass never competes with a
    full one, but most groups that are dead under binary live.
    """
    return _binary_once_solved(outcomes, mask, pass_rate(outcomes, mask))


def _binary_once_solved(outcomes: torch.Tensor, mask: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
    """These rewards [P, G], but the binary ones in a group in which somebody fully passes."""
    full = binary(outcomes, mask)
    return torch.where(full.amax(-1, keepdim=True) > 0, full, rewards)


def hard_tests(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The share of passed tests, each weighted by how rarely the group passes it. [P, G, T] -> [P, G].

    R = sum_t w_t x_t / sum_t w_t,  w_t = 1 - the group's mean of x_t.  A group 1111 1110 1100 1000 has the weights
    0, 1/4, 1/2, 3/4 and gets 1, 1/2, 1/6, 0: what everybody passes earns nobody anything.
    """
    passed = (outcomes & mask).float()
    weights = (1 - passed.mean(-2, keepdim=True)) * mask
    total = weights.sum(-1)
    return torch.where(total > 0, (weights * passed).sum(-1) / total.clamp(min=1e-9), 1.0)  # 0: all pass all


def power(outcomes: torch.Tensor, mask: torch.Tensor, exponent: float = 4.0) -> torch.Tensor:
    """The pass rate to a power: a near miss earns something, a half-pass next to nothing. [P, G, T] -> [P, G].

    R = (passed / tests)^4.  Outcomes 1111, 1110 and 1100 get 1, 0.32 and 0.06.
    """
    return pass_rate(outcomes, mask) ** exponent


def mixed(outcomes: torch.Tensor, mask: torch.Tensor, share: float = 0.5) -> torch.Tensor:
    """The mean of binary and pass rate: a full pass stands out by a bonus. [P, G, T] -> [P, G].

    R = (1[all pass] + passed / tests) / 2.  Outcomes 1111 and 1110 get 1 and 0.375.
    """
    return (1 - share) * binary(outcomes, mask) + share * pass_rate(outcomes, mask)


def frontier(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """hard_tests, but 0 for a sample if another one of the group passes strictly more. [P, G, T] -> [P, G].

    Sample j dominates i if it passes every test that i passes, and another one. A full pass dominates everything else:
    then this is the binary reward, with no rule that says so. A group 1100 1000 0011 0000 gets 5/11, 0, 6/11, 0: the
    second and the last are dominated, which leaves fewer directions that could cancel each other.
    """
    passed = outcomes & mask
    covers = (passed.unsqueeze(-3) | ~passed.unsqueeze(-2)).all(-1)  # [P, i, j]: j passes whatever i passes
    dominated = (covers & ~covers.transpose(-1, -2)).any(-1)
    return hard_tests(outcomes, mask) * ~dominated


def gated_hard(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """hard_tests only while nobody in the group fully passes; else binary. [P, G, T] -> [P, G].

    A group 1111 1110 0000 gets 1 0 0; a group 1110 1000 0000 gets 5/8 1/8 0: tests that fewer pass count for more.
    """
    return _binary_once_solved(outcomes, mask, hard_tests(outcomes, mask))


def elite(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The pass rate, for the best samples of the group alone. [P, G, T] -> [P, G].

    R_i = r_i if r_i = max_j r_j, else 0, with r the pass rate. A group 1111 1110 0000 gets 1 0 0, as under binary; a
    group 1110 1000 0000 gets 0.75 0 0: one direction to push in, not one for every partial pass.
    """
    rates = pass_rate(outcomes, mask)
    return torch.where(rates == rates.amax(-1, keepdim=True), rates, 0.0)


def near_miss(outcomes: torch.Tensor, mask: torch.Tensor, threshold: float = 0.8) -> torch.Tensor:
    """The pass rate from a threshold on, while nobody in the group fully passes; else binary. [P, G, T] -> [P, G].

    R_i = r_i if r_i >= 0.8, else 0, with r the pass rate. A group 11111 11110 00000 gets 1 0 0; a group 11110 11000
    00000 gets 0.8 0 0. A program that passes nearly everything is nearly right; one that passes half may be anything.
    """
    rates = pass_rate(outcomes, mask)
    return _binary_once_solved(outcomes, mask, torch.where(rates >= threshold - 1e-6, rates, 0.0))


REWARDS = {
    "binary": binary,
    "pass_rate": pass_rate,
    "gated": gated,
    "hard_tests": hard_tests,
    "power": power,
    "mixed": mixed,
    "frontier": frontier,
    "gated_hard": gated_hard,
    "elite": elite,
    "near_miss": near_miss,
}


def find_reward(name: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A reward of REWARDS, or one of yours by its path, "my_file.my_reward". (In a notebook, enter it in REWARDS.)"""
    module, _, function = name.rpartition(".")
    if name in REWARDS:
        return REWARDS[name]
    if not module:
        raise UsageError(f"unknown reward {name!r}; choose from {', '.join(REWARDS)}, or name a function: my_file.mine")
    try:
        sys.path.insert(0, os.getcwd())
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"cannot find the reward {name!r}: {error}") from None
    finally:
        sys.path.remove(os.getcwd())


def group_census(outcomes: torch.Tensor, mask: torch.Tensor, group_size: int | None = None) -> dict[str, float]:
    """What kinds of groups there are, as shares, and which of them give no signal under which reward.

    outcomes, mask [P, G, T]. all_pass: every sample passes; mixed: some do; partial_only: none does, but some test is
    passed; nothing: no test is. dead/REWARD: all rewards of the group are equal. A smaller group_size takes the samples
    in so many smaller groups, as if they had been drawn so.
    """
    size = group_size or outcomes.shape[1]
    groups = outcomes.shape[1] // size
    if not groups:
        raise UsageError(f"group_size must be at most {outcomes.shape[1]}, the samples of each problem, got {size}")
    outcomes, mask = (x[:, : groups * size].reshape(-1, size, x.shape[-1]) for x in (outcomes, mask))
    full, some = binary(outcomes, mask), (outcomes & mask).any(-1).any(-1)
    kinds = {
        "all_pass": full.all(-1),
        "mixed": full.any(-1) & ~full.all(-1),
        "partial_only": ~full.any(-1) & some,
        "nothing": ~some,
    }
    kinds |= {f"dead/{name}": is_dead(reward(outcomes, mask)).squeeze(-1) for name, reward in REWARDS.items()}
    return {name: float(groups_of_kind.float().mean()) for name, groups_of_kind in kinds.items()}


def live_groups(p: float, group_size: int) -> float:
    """The chance that a group has signal under the binary reward, if each sample passes with probability p.

    1 - (1 - p)^G - p^G.

    >>> live_groups(0.5, 2)
    0.5
    """
    return 1 - (1 - p) ** group_size - p**group_size


# ----------------------------------------------------------------------------------------------------------------------
# 7. Advantages: rewards [P, G] -> advantages [P, G]. How much better than its baseline was each sample?


def is_dead(rewards: torch.Tensor) -> torch.Tensor:
    """Which groups carry no signal, because all their rewards are equal: [..., G] -> [..., 1]."""
    return rewards.amax(-1, keepdim=True) - rewards.amin(-1, keepdim=True) < 1e-6


def _centered(rewards: torch.Tensor) -> torch.Tensor:
    """R - mean(R), and exactly 0 in dead groups: the mean of eight times 0.7 is not 0.7 in floating point, and a
    division by the standard deviation would blow that difference up to full size."""
    if rewards.shape[-1] < 2:
        raise UsageError(f"a sample is judged against others: it takes at least 2, got {rewards.shape[-1]}")
    return torch.where(is_dead(rewards), 0.0, rewards - rewards.mean(-1, keepdim=True))


def grpo(rewards: torch.Tensor) -> torch.Tensor:
    """GRPO (Shao et al. 2024, arXiv 2402.03300, section 4.1.2): standardized within the group. [P, G] -> [P, G].

    A_i = (R_i - mean(R)) / std(R), std with G - 1.  Rewards 1 0 0 0 give 1.5 -0.5 -0.5 -0.5.
    """
    return _centered(rewards) / torch.where(is_dead(rewards), 1.0, rewards.std(-1, keepdim=True))


def rloo(rewards: torch.Tensor) -> torch.Tensor:
    """RLOO (Ahmadian et al. 2024, arXiv 2402.14740): minus the mean of the others, leave-one-out. [P, G] -> [P, G].

    A_i = R_i - mean of R_j, j != i = G / (G - 1) (R_i - mean(R)).  Rewards 1 0 0 0 give 1 -1/3 -1/3 -1/3.
    """
    group_size = rewards.shape[-1]
    return _centered(rewards) * group_size / (group_size - 1)


def dr_grpo(rewards: torch.Tensor) -> torch.Tensor:
    """Dr. GRPO (Liu et al. 2025, arXiv 2503.20783, section 3.2): GRPO without the division by std. [P, G] -> [P, G].

    A_i = R_i - mean(R).  Rewards 1 0 0 0 give 0.75 -0.25 -0.25 -0.25.
    """
    return _centered(rewards)


def reinforce(rewards: torch.Tensor) -> torch.Tensor:
    """REINFORCE (Williams 1992) with the mean of the whole batch as its baseline. [P, G] -> [P, G].

    A_i = R_i - mean over the batch.  Here a group of equal rewards does get a gradient, unless all groups agree.
    """
    return _centered(rewards.flatten()).reshape(rewards.shape)


ADVANTAGES = {"grpo": grpo, "rloo": rloo, "dr_grpo": dr_grpo, "reinforce": reinforce}


# ----------------------------------------------------------------------------------------------------------------------
# 8. Loss: the clipped policy gradient, its normalisation, and the KL penalty


def token_logprobs(
    policy: Policy,
    prompt_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
    temperature: float = 1.0,
    prompt_of: torch.Tensor | None = None,
) -> torch.Tensor:
    """Log-probability in nats of every completion token, given all before it.

    prompt_* [P, prompt tokens] left-padded, completion_* [N, L] right-padded -> [N, L]. Differentiable.
    prompt_of [N] tells the prompt of every completion; without it, the i-th completion belongs to the i-th prompt.
    Values where completion_mask is False mean nothing.

    With prompt_of, every prompt is run once, with gradient, and the completions attend to its keys and values: so a
    group costs the tokens of one prompt, not of G. Logits are computed at completion tokens only.
    """
    model, length = policy.model, completion_ids.shape[1]
    shares_prompts = prompt_of is not None and policy.shares_prompts
    if prompt_of is None:
        prompt_of = torch.arange(len(prompt_ids), device=prompt_ids.device)
    mask = torch.cat([prompt_mask[prompt_of], completion_mask[:, :-1]], dim=1)
    positions = _positions(mask)
    with _arithmetic(policy):
        if not shares_prompts:
            ids = torch.cat([prompt_ids[prompt_of], completion_ids[:, :-1]], dim=1)
            outputs = _run(policy, ids, mask, positions, length)
        else:
            cache = Cache(layer_class_to_replicate=DynamicLayer)
            outputs = _run(policy, prompt_ids, prompt_mask, _positions(prompt_mask), 1, cache)[prompt_of]
            if length > 1:
                cache.batch_select_indices(prompt_of)
                positions = positions[:, prompt_ids.shape[1] :]
                rest = _run(policy, completion_ids[:, :-1], mask, positions, length - 1, cache)
                outputs = torch.cat([outputs, rest], dim=1)  # [N, L, ...]: what is read at a token predicts the next

        def score(outputs: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
            logits = model.get_output_embeddings()(outputs) if policy.splits_head else outputs
            logits = logits.float() / temperature  # [..., V]
            return logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)

        rows = max(1, LOGITS_AT_ONCE // model.config.get_text_config().vocab_size)  # tokens
        if completion_ids.numel() <= rows or not policy.splits_head:
            return score(outputs, completion_ids)
        # A large vocabulary: chunks of logits, made again in the backward pass, so that they are never all there
        pairs = zip(outputs.flatten(0, 1).split(rows), completion_ids.flatten().split(rows), strict=True)
        chunks = [torch.utils.checkpoint.checkpoint(score, *pair, use_reentrant=False) for pair in pairs]
        return torch.cat(chunks).view_as(completion_ids)


LOGITS_AT_ONCE = 2**26  # of float32: 256 MB


def _run(
    policy: Policy,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    keep: int,
    cache: Cache | None = None,
) -> torch.Tensor:
    """Hidden states of the last `keep` tokens, [N, keep, hidden], from which the head makes logits; or the logits."""
    inputs = {
        "attention_mask": mask,
        "position_ids": positions,
        "use_cache": cache is not None,
        _cache_name(type(policy.model)): cache,
    }
    if not policy.splits_head:
        return policy.model(ids, **inputs, logits_to_keep=keep).logits
    return policy.model.base_model(ids, **inputs)[0][:, -keep:]


def _arithmetic(policy: Policy) -> torch.autocast:
    """Matrix products in the policy's precision; the weights, sums and the softmax stay float32."""
    return torch.autocast(policy.device.type, policy.precision, enabled=policy.precision != torch.float32)


# How the algorithms weigh tokens unless --normalisation says otherwise.
NORMALISATION = {"grpo": "sequence", "rloo": "constant", "dr_grpo": "constant", "reinforce": "constant"}


def token_weights(mask: torch.Tensor, normalisation: str, max_new_tokens: int) -> torch.Tensor:
    """The weight of every token in the loss: [N, L] -> [N, L]. N samples, |o_i| tokens in the i-th.

    token     1 / sum_i |o_i|         every token the same (DAPO, arXiv 2503.14476, section 3.3)
    sequence  1 / (N |o_i|)           every sample the same: tokens of long samples count less (GRPO, eq. 3)
    constant  1 / (N max_new_tokens)  no length bias (Dr. GRPO, section 3.2; the policy gradient theorem up to a factor)

    >>> token_weights(torch.tensor([[1, 1], [1, 0]]), "sequence", 4)
    tensor([[0.2500, 0.2500],
            [0.5000, 0.0000]])
    """
    weights = mask.float()
    if normalisation == "token":
        return weights / weights.sum().clamp(min=1)
    if normalisation == "sequence":
        return weights / weights.sum(-1, keepdim=True).clamp(min=1) / len(mask)
    if normalisation == "constant":
        return weights / (len(mask) * max_new_tokens)
    raise UsageError(f"unknown normalisation {normalisation!r}; choose token, sequence or constant")


def policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    weights: torch.Tensor,
    clip: float = 0.2,
    reference_logprobs: torch.Tensor | None = None,
    kl: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The clipped surrogate (PPO, arXiv 1707.06347, eq. 7; GRPO, eq. 3) and the k3 estimate of the KL divergence.

    L = - sum_it w_it [min(r A, clip(r, 1 - c, 1 + c) A) - kl k3],  r = exp(logprob - old logprob),
    k3 = exp(d) - d - 1 with d = reference logprob - logprob (Schulman 2020, "Approximating KL divergence").

    logprobs, old_logprobs, reference_logprobs, weights [N, L]; advantages [N]. Weights are 0 outside the completion and
    carry the normalisation (token_weights), so losses of micro-batches add up to the loss of the batch.
    Returns the loss, and the weight of the tokens whose gradient the clip took away.

    On-policy (old = new) the ratio is 1, the clip is inert, and the gradient is that of - sum w A logprob.
    """
    hidden = weights == 0  # a padded position may hold any number, and inf * 0 would be NaN
    ratio = (logprobs - old_logprobs).masked_fill(hidden, 0.0).exp()
    advantages = advantages.unsqueeze(-1)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    objective = torch.minimum(ratio * advantages, clipped * advantages)
    if kl:
        d = (reference_logprobs - logprobs).masked_fill(hidden, 0.0)
        objective = objective - kl * (d.exp() - d - 1)
    cut = (clipped * advantages < ratio * advantages).float()
    return -(weights * objective).sum(), (weights * cut).sum()


# ----------------------------------------------------------------------------------------------------------------------
# 9. Evaluation: unbiased pass@k on held-out problems


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k of n samples, drawn without replacement, hold at least one of the c correct ones.

    pass@k = 1 - C(n - c, k) / C(n, k)  (Chen et al. 2021, arXiv 2107.03374, eq. 1): the unbiased estimate.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise UsageError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """pass@k and the pass rate of every problem, from saved rows (rollout_rows) with a group of outcomes each."""
    return columns_of_rates([[np.mean(passes) for passes in row["outcomes"]] for row in rows])


def columns_of_rates(groups: Sequence[Sequence[float]]) -> dict[str, np.ndarray]:
    """pass@k and the pass rate of every problem, from its samples' pass rates. k is 1, 8, 64 and the size of the
    groups, as far as they go."""
    sizes = {len(group) for group in groups}
    if len(sizes) != 1:
        raise UsageError(f"the problems have groups of different sizes: {sorted(sizes)}")
    size = sizes.pop()
    columns = {
        f"pass@{k}": np.array([pass_at_k(size, group.count(1.0), k) for group in groups])
        for k in sorted({1, 8, 64, size})
        if k <= size
    }
    return columns | {"pass_rate": np.array([np.mean(group) for group in groups])}


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean over problems, and its 95 % interval: a bootstrap over problems, 1000 resamples."""
    draws = np.random.default_rng(0).integers(len(values), size=(1000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """pass@1, pass@8, ... and pass_rate of saved rows, each with its interval: pass@1_low, pass@1_high."""
    summary = {}
    for name, values in columns_of(rows).items():
        summary[name], summary[f"{name}_low"], summary[f"{name}_high"] = interval(values)
    return summary


def verdict_mix(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What became of the samples, as shares: passed, or the verdict of the first test that was not passed."""
    firsts = [next((v for v in verdicts if v != "passed"), "passed") for row in rows for verdicts in row["verdicts"]]
    return {verdict: count / len(firsts) for verdict, count in collections.Counter(firsts).most_common()}


def evaluate(
    policy: Policy, problems: Sequence[Problem], sandbox: Sandbox, config: Config, seed: int, file: Path | None = None
) -> list[dict[str, Any]]:
    """Sample config.eval_samples completions of every problem and grade them: rows for summarize().

    The samples and their outcomes go to `file`, one problem a line. config.batch_rows samples are drawn at a time.
    """
    at_once = max(1, config.batch_rows // config.eval_samples)
    rows = []
    chunks = range(0, len(problems), at_once)
    for start in progress_bar(
        chunks, desc="evaluating", unit="batch", leave=False, shown=rank() == 0 and len(chunks) >= 5
    ):
        places = range(len(problems))[start : start + at_once][rank() :: world_size()]
        chunk, graded = [problems[place] for place in places], []
        if chunk:
            settings = {"max_new_tokens": config.max_new_tokens, "temperature": config.eval_temperature, "seed": seed}
            with cores_for(policy, sandbox):
                rollout = sample(policy, chunk, config.eval_samples, places=places, sandbox=sandbox, **settings)
            graded = rollout_rows(chunk, rollout, *grade(chunk, rollout, sandbox))
        rows += gather(graded)
    if file and rank() == 0:
        write_jsonl(file, rows)
    return rows


# ----------------------------------------------------------------------------------------------------------------------
# 10. Training: sample -> grade -> reward -> advantage -> update, again and again


def _setting(default: Any, help: str, *aliases: str) -> Any:
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": help, "aliases": aliases})
    return field(default=default, metadata={"help": help, "aliases": aliases})


@dataclass
class Config:
    """The settings of a run. Every field is a flag of the command line: group_size is --group-size."""

    model: str = _setting("toy", "toy, a model id of the Hugging Face hub, a directory, a run folder or a .gguf file")
    toy_noise: float = _setting(0.47, "carelessness of the toy's base model: 0.3 strong, 0.47 middling, 0.65 very weak")
    toy_seed: int = _setting(0, "seed of the toy's base model; another one is another base")
    prompt_style: str = _setting("auto", "chat, completion or verbatim; auto: chat for a model with a chat template")
    problems: str = _setting(
        "toy", "toy, or a file or URL of problems; FILE#601-974 keeps the tasks with these numbers"
    )
    held_out: str = _setting("", "file or URL to evaluate on; empty: the toy's test split, or a tenth of the problems")
    drop_broken: bool = _setting(False, "train without the problems whose own solution fails")
    min_pass: float = _setting(0.0, "train on problems which the base model solves at least so often, from 0 to 1")
    max_pass: float = _setting(1.0, "... and at most so often (pass@1 of --eval-samples samples)")
    families: list[str] = _setting(list(FAMILIES), "families of toy problems")
    levels: list[int] = _setting([1, 2, 3], "levels of toy problems: how many of the three slots ask for something")
    algorithm: str = _setting("grpo", "grpo, rloo, dr_grpo or reinforce")
    reward: str = _setting("binary", f"{', '.join(REWARDS)}; or my_file.my_reward")
    steps: int = _setting(100, "training steps")
    problems_per_step: int = _setting(16, "problems (groups) a step")
    group_size: int = _setting(8, "samples a group")
    max_new_tokens: int | None = _setting(None, "longest completion, in tokens; default: 32 for the toy, else 512")
    temperature: float = _setting(1.0, "sampling temperature while training")
    lr: float | None = _setting(None, "learning rate of AdamW; default: 5e-4 for the toy, else 1e-6")
    warmup_steps: int = _setting(5, "steps over which the learning rate rises linearly to lr")
    weight_decay: float = _setting(0.0, "decoupled weight decay of AdamW")
    max_grad_norm: float = _setting(1.0, "the gradient is scaled down to this norm")
    updates_per_batch: int = _setting(1, "optimizer steps on each batch of samples; from the second on, the clip acts")
    clip: float = _setting(0.2, "the importance ratio is clipped to 1 - clip .. 1 + clip")
    normalisation: str = _setting("auto", "token, sequence or constant; auto: sequence for grpo, else constant")
    kl: float = _setting(0.0, "weight of the KL penalty towards the base model")
    micro_batch_tokens: int = _setting(16384, "tokens per backward pass; fewer need less memory, the same gradient")
    batch_rows: int = _setting(256, "most samples drawn at once")
    eval_every: int = _setting(50, "steps between evaluations on held-out problems; 0: before and after only")
    eval_size: int = _setting(100, "held-out problems to evaluate on, at most")
    eval_samples: int = _setting(8, "samples of each held-out problem", "--samples")
    eval_temperature: float = _setting(1.0, "sampling temperature of evaluations; 0: greedy")
    save_every: int = _setting(10, "steps between checkpoints")
    seed: int = _setting(0, "seed of everything random")
    device: str = _setting("auto", "auto, cpu, cuda, cuda:1, ...")
    precision: str = _setting("auto", "float32 or bfloat16 arithmetic over float32 weights; auto: bfloat16 on a GPU")
    gradient_checkpointing: bool = _setting(False, "compute activations twice rather than keep them")
    shard: bool = _setting(False, "split weights, gradients and optimizer over the processes of torchrun")
    workers: int = _setting(0, "sandbox processes; 0: two a core")
    cpu_seconds: float = _setting(2.0, "CPU time limit of a test")
    memory_mb: int = _setting(512, "memory limit of a program")
    out: str = _setting("", "run folder; empty: a new one below runs/")
    resume: str = _setting("", "run folder to continue, with its settings, up to --steps")

    def __post_init__(self):
        toy = is_toy(self.model)
        if self.lr is None:
            self.lr = 5e-4 if toy else 1e-6
        if self.max_new_tokens is None:
            self.max_new_tokens = 32 if toy else 512
        if self.prompt_style == "auto" and toy:
            self.prompt_style = "verbatim"
        for name, choices in (
            ("algorithm", ADVANTAGES),
            ("normalisation", ("auto", "token", "sequence", "constant")),
            ("precision", ("auto", "float32", "bfloat16")),
            ("prompt_style", ("auto", "chat", "completion", "verbatim")),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(f"unknown {name} {getattr(self, name)!r}; choose from {', '.join(choices)}")
        at_least_1 = (
            "problems_per_step group_size max_new_tokens updates_per_batch micro_batch_tokens batch_rows eval_size"
        )
        for names, valid, words in (
            (f"{at_least_1} eval_samples save_every", lambda value: value >= 1, "must be at least 1"),
            (
                "steps warmup_steps weight_decay kl eval_every eval_temperature workers lr",
                lambda value: value >= 0,
                "must not be negative",
            ),
            ("temperature max_grad_norm clip cpu_seconds", lambda value: value > 0, "must be above 0"),
            ("memory_mb", lambda value: value >= 64, "must be at least 64 for Python to start"),
        ):
            for name in names.split():
                if not valid(getattr(self, name)):
                    raise UsageError(f"{name} {words}, got {getattr(self, name)}")
        find_reward(self.reward)
        if not 0 <= self.min_pass <= self.max_pass <= 1:
            raise UsageError(f"it must be 0 <= min_pass <= max_pass <= 1, got {self.min_pass} and {self.max_pass}")
        if self.group_size < 2 and self.algorithm != "reinforce":
            raise UsageError(
                f"group_size must be at least 2 for {self.algorithm}, got {self.group_size}: "
                "a sample is judged against the others of its group"
            )
        if self.group_size * self.problems_per_step < 2:
            raise UsageError("group_size or problems_per_step must be at least 2: reinforce judges against the batch")


def is_toy(model: str) -> bool:
    """Is a model the toy, or one that was trained from it?"""
    file = Path(model) / "config.json"
    try:
        return model == "toy" or is_toy(json.loads(file.read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _seed(*parts: Any) -> int:
    """A 63-bit seed for one purpose at one step. Since every draw is seeded so, (config, step) is the whole random
    state of a run, and a resumed run draws what the uninterrupted one would have drawn."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def problems_of_step(problems: Sequence[Problem], config: Config, step: int) -> list[Problem]:
    """The problems of a step (from 1): epoch after epoch, each in its own random order."""
    batch = []
    for draw in range((step - 1) * config.problems_per_step, step * config.problems_per_step):
        epoch, place = divmod(draw, len(problems))
        batch.append(problems[_epoch_order(len(problems), _seed(config.seed, "order", epoch))[place]])
    return batch


@functools.lru_cache(maxsize=4)
def _epoch_order(count: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(count), count)


# Several processes, started by torchrun, share every batch: each of them samples and grades the problems at its places,
# then all know the whole batch, and each adds up the gradient of its share of the live groups. One process writes.


def progress_bar(*args: Any, shown: bool, **settings: Any) -> tqdm:
    """A bar of one process for all. Where it is shown, tqdm's own TQDM_DISABLE still switches it off."""
    return tqdm(*args, **settings, **({} if shown else {"disable": True}))


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def join_processes(config: Config) -> None:
    """Meet the other processes of torchrun, if it started this one, and take the device of one's own."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1 and config.shard:
        raise UsageError("--shard needs several processes: torchrun --nproc-per-node 2 minirl.py train --shard ...")
    if world == 1 or dist.is_initialized():
        return
    if config.problems_per_step < world:
        raise UsageError(
            f"problems_per_step must be at least the number of processes, {world}, got {config.problems_per_step}"
        )
    if config.device.startswith(("auto", "cuda")) and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        config.device = f"cuda:{os.environ['LOCAL_RANK']}"
    dist.init_process_group("cpu:gloo,cuda:nccl" if config.device.startswith("cuda") else "gloo")


@contextlib.contextmanager
def one_goes_first():
    """On every machine the first process goes ahead of the others: it may have to download something, or to make the
    toy's base model."""
    is_first = int(os.environ.get("LOCAL_RANK", 0)) == 0
    if world_size() > 1 and not is_first:
        dist.barrier()
    yield
    if world_size() > 1 and is_first:
        dist.barrier()


def load_policy_together(name: str, config: Config) -> Policy:
    """load_policy in every process. All get the weights of process 0: another machine may round otherwise."""
    with one_goes_first():
        settings = (config.toy_noise, config.device, config.precision, config.prompt_style, config.toy_seed)
        policy = load_policy(name, *settings)
    if world_size() > 1:
        for parameter in policy.model.parameters():
            dist.broadcast(parameter.data, 0)
        policy.refresh_sampler()
    return policy


def open_sandbox(config: Config) -> Sandbox:
    """The sandbox that the settings ask for: two workers a core, since a program waits for the kernel about half of its
    time. Processes on one machine share its cores."""
    workers = config.workers or max(1, 2 * count_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    return Sandbox(workers, config.cpu_seconds, config.memory_mb)


def gather(items: list[Any]) -> list[Any]:
    """The items of all processes, in the order of the batch: process r of W holds those at r, r + W, r + 2 W, ..."""
    if world_size() == 1:
        return items
    parts: list[list[Any]] = [[] for _ in range(world_size())]
    dist.all_gather_object(parts, items)
    return [part[i] for i in range(max(map(len, parts))) for part in parts if i < len(part)]


def gather_rollout(
    rollout: Rollout, outcomes: torch.Tensor, mask: torch.Tensor
) -> tuple[Rollout, torch.Tensor, torch.Tensor]:
    """The whole batch, out of every process's graded share of it."""
    if world_size() == 1:
        return rollout, outcomes, mask
    device = rollout.prompt_ids.device
    names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "logprobs", "entropy")
    tensors = [*(getattr(rollout, name).cpu() for name in names), outcomes, mask]
    groups = gather(list(zip(*tensors, rollout.completions, rollout.verdicts, strict=True)))
    *columns, completions, verdicts = zip(*groups, strict=True)
    whole = []
    for i, column in enumerate(columns):  # the widths of the shares differ: prompts are padded on the left
        width = max(tensor.shape[-1] for tensor in column)
        gaps = [width - tensor.shape[-1] for tensor in column]
        whole.append(torch.stack([F.pad(t, (n, 0) if i < 2 else (0, n)) for t, n in zip(column, gaps, strict=True)]))
    fields_ = [tensor.to(device) for tensor in whole[:-2]]
    together = Rollout(*fields_, list(completions), rollout.temperature, {}, list(verdicts), rollout.verbatim)
    return together, whole[-2], whole[-1]


def sum_over_processes(tensors: Sequence[torch.Tensor]) -> None:
    """Add up tensors over all processes, in place."""
    if world_size() > 1:
        for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
            work.wait()


def sample_step(
    policy: Policy, problems: Sequence[Problem], config: Config, step: int, sandbox: Sandbox | None = None
) -> Rollout:
    """The groups of one training step: in one of several processes, its share of them."""
    places = range(rank(), len(problems), world_size())
    with cores_for(policy, sandbox):
        return sample(
            policy,
            [problems[place] for place in places],
            config.group_size,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            seed=_seed(config.seed, "sample", step),
            places=places,
            sandbox=sandbox,
        )


def train(config: Config, sandbox: Sandbox | None = None) -> Path:
    """Train a policy by reinforcement learning; returns the run folder.

    The folder holds config.json, metrics.jsonl, rollouts/ and evaluations/ (completions and outcome matrices) and
    checkpoint/. With config.resume, continues that run after its last checkpoint, and ends up where an uninterrupted
    run would have. Raises UsageError for settings that cannot work, before anything is written.
    Several runs may share a sandbox, which is then not closed.
    """
    join_processes(config)
    with one_goes_first():
        train_problems, held_out = training_problems(config)
    folder = Path(config.resume) if config.resume else None
    checkpoint = find_checkpoint(folder) if folder else None
    if folder:
        require_same_settings(config, folder)
    policy, reference = load_policy_together(str(checkpoint or config.model), config), None
    if config.kl:
        reference = load_policy_together(config.model, config)
        reference.sampler = None  # it scores only
    if config.shard:
        policy.shard()
    if config.gradient_checkpointing:
        policy.recompute_activations()
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    done = load_trainer_state(checkpoint, optimizer) if checkpoint else 0
    if done > config.steps:
        raise UsageError(f"the run in {folder} has done {done} steps already; choose more --steps than {config.steps}")
    train_problems, held_out = (those_that_fit(policy, part, config) for part in (train_problems, held_out))
    lead = rank() == 0  # the process that writes
    if lead:
        folder = folder or new_run_folder(config)
        write_text(folder / "config.json", json.dumps(asdict(config) | {"resume": "", "out": str(folder)}, indent=2))
        log = folder / "metrics.jsonl"
        write_jsonl(log, [row for row in read_jsonl(log) if row["step"] <= done])  # what came after it is done again
    folder = gather([folder])[0]
    log = folder / "metrics.jsonl"
    is_new = gather([not read_jsonl(log)])[0]

    def evaluate_now(step: int) -> dict[str, float]:
        bar.set_description(f"evaluating on {len(held_out)} held-out problems")
        file = folder / "evaluations" / f"step_{step:06d}.jsonl"
        summary = summarize(evaluate(policy, held_out, sandbox, config, _seed(config.seed, "eval", step), file))
        bar.set_description(f"{config.algorithm} {config.reward}")
        return {f"eval/{name}": value for name, value in summary.items()}

    with (
        contextlib.nullcontext(sandbox) if sandbox else open_sandbox(config) as sandbox,
        progress_bar(total=config.steps, initial=done, unit="step", dynamic_ncols=True, shown=lead) as bar,
    ):
        train_problems = choose_problems(train_problems, policy, sandbox, config, folder)
        if is_new:
            summary = evaluate_now(0)
            if lead:
                append_jsonl(log, {"step": 0} | summary)
        for step in range(done + 1, config.steps + 1):
            problems = problems_of_step(train_problems, config, step)
            started = time.perf_counter()
            rollout = sample_step(policy, problems, config, step, sandbox)
            sampled = time.perf_counter()
            outcomes, mask = grade(problems[rank() :: world_size()], rollout, sandbox)
            rollout, outcomes, mask = gather_rollout(rollout, outcomes, mask)  # [P, G, T]
            graded = time.perf_counter()
            rewards = find_reward(config.reward)(outcomes, mask)  # [P, G]
            advantages = ADVANTAGES[config.algorithm](rewards)  # [P, G]
            for group in optimizer.param_groups:
                group["lr"] = config.lr * min(1.0, step / max(1, config.warmup_steps))
            stats = update(policy, optimizer, rollout, advantages.to(policy.device), config, reference)
            updated = time.perf_counter()

            row = {
                "step": step,
                "reward": float(rewards.mean()),
                "pass_rate": float(pass_rate(outcomes, mask).mean()),
                "full_pass": float(binary(outcomes, mask).mean()),
                "dead_groups": float(is_dead(rewards).float().mean()),
                "sandbox_errors": sum(v == Verdict.sandbox_error for g in rollout.verdicts for s in g for v in s),
                "census": group_census(outcomes, mask),
                **stats,
                "entropy": float(rollout.entropy[rollout.completion_mask].mean()),
                "tokens": int(rollout.completion_mask.sum()),
                "tokens_per_second": float(rollout.completion_mask.sum()) / (updated - started),
                "seconds": {"sample": sampled - started, "grade": graded - sampled, "update": updated - graded},
            }
            if not math.isfinite(row["grad_norm"]):
                raise UsageError(f"the gradient is not finite at step {step}, so the run ends here; try a lower lr")
            if lead:
                file = folder / "rollouts" / f"step_{step:06d}.jsonl"
                write_jsonl(file, rollout_rows(problems, rollout, outcomes, mask))
            if step == config.steps or (config.eval_every and step % config.eval_every == 0):
                row |= evaluate_now(step)
            if lead:
                append_jsonl(log, row)
            if step == config.steps or step % config.save_every == 0:
                save_checkpoint(folder, policy, optimizer, step)
            shown = {name: f"{row[name]:.2f}" for name in ("full_pass", "pass_rate", "dead_groups")}
            bar.set_postfix(shown | ({"SANDBOX_ERRORS": row["sandbox_errors"]} if row["sandbox_errors"] else {}))
            bar.update()
    gather([None])  # whoever returns finds everything written
    return folder


def micro_batches(lengths: torch.Tensor, live: torch.Tensor, prompt_tokens: int, budget: int) -> list[torch.Tensor]:
    """Split the live samples of a batch so that each part, padding included, has at most `budget` tokens.

    lengths, live [P, G] -> indices into the N = P * G samples. Groups stay together, since their prompt is run once
    a part, and groups of similar length come together, since a part is as wide as its longest completion. A sample that
    exceeds the budget alone is a part of its own.
    """
    widths = torch.where(live, lengths, 0).amax(-1)
    parts: list[list[int]] = []
    tokens, width, last = 0, 0, -1
    for p in widths.argsort(descending=True, stable=True).tolist():
        for g in live[p].nonzero().squeeze(-1).tolist():
            cost = width + prompt_tokens * (p != last)
            if not parts or tokens + cost > budget:
                tokens, width = 0, int(widths[p])
                cost = width + prompt_tokens
                parts.append([])
            parts[-1].append(p * lengths.shape[1] + g)
            tokens, last = tokens + cost, p
    return [torch.tensor(part, device=lengths.device) for part in parts]


def multiplicities(rollout: Rollout, advantages: torch.Tensor) -> torch.Tensor:
    """How many samples of its group are identical to each sample, itself included; 0 for all but the first of them.

    [P, G] -> [P, G]. A policy that has learnt something repeats itself, and one sample with that weight gives the same
    gradient. The advantages [P, G] of such samples agree, unless somebody made them up.
    """
    ids = rollout.completion_ids.masked_fill(~rollout.completion_mask, -1)
    groups = torch.arange(len(ids), device=ids.device).view(-1, 1, 1).expand(*ids.shape[:2], 1)
    keys = torch.cat([groups, advantages.double().view(torch.int64).unsqueeze(-1), ids], dim=-1).flatten(0, 1)
    _, kind_of, counts = torch.unique(keys, dim=0, return_inverse=True, return_counts=True)
    first = torch.full_like(counts, len(keys))
    first.scatter_reduce_(0, kind_of, torch.arange(len(keys), device=ids.device), "amin")
    return torch.zeros_like(kind_of).index_copy_(0, first, counts).view_as(advantages)


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    advantages: torch.Tensor,
    config: Config,
    reference: Policy | None = None,
) -> dict[str, float]:
    """config.updates_per_batch optimizer steps on a rollout with its advantages [P, G]; returns what the log shows.

    Samples whose advantage is 0 add nothing to the gradient, so without a KL penalty they are not even run, and a batch
    of dead groups moves no weight (Adam would go on by its momentum). Identical samples are run once. A device that
    runs out of memory starts the step's gradient again with half the tokens in a micro-batch: the gradient is the same.
    """
    completion_ids, completion_mask = rollout.completion_ids.flatten(0, 1), rollout.completion_mask.flatten(0, 1)
    normalisation = NORMALISATION[config.algorithm] if config.normalisation == "auto" else config.normalisation
    weights = token_weights(completion_mask, normalisation, config.max_new_tokens)  # [N, L], over all rows
    sampler_logprobs = rollout.logprobs.flatten(0, 1)
    times = multiplicities(rollout, advantages)
    weights = weights * times.flatten().unsqueeze(-1)
    live = (times > 0) if reference else (times > 0) & (advantages != 0)
    mine = torch.zeros_like(live)  # the live groups are dealt out to the processes
    dealt = live.any(-1).nonzero().squeeze(-1)[rank() :: world_size()]
    mine[dealt] = live[dealt]
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    old_logprobs, reference_logprobs = torch.zeros_like(weights), torch.zeros_like(weights)
    live_weight = weights[live.flatten()].sum()
    weights = weights * mine.flatten().unsqueeze(-1)

    def backward(rows: torch.Tensor, first: bool) -> torch.Tensor:
        """Add the gradient of some samples; returns their part of the loss, of the clipped weight, and of the mean
        distance between the log-probabilities of the sampler and these."""
        width = int(completion_mask[rows].sum(-1).max())
        groups, prompt_of = torch.unique(rows // advantages.shape[1], return_inverse=True)
        inputs = [rollout.prompt_ids[groups], rollout.prompt_mask[groups]]
        inputs += [completion_ids[rows, :width], completion_mask[rows, :width], rollout.temperature, prompt_of]
        logprobs = token_logprobs(policy, *inputs)
        if first:  # the policy that sampled is still the policy: no second pass to score its samples
            old_logprobs[rows, :width] = logprobs.detach()
            if reference:
                with torch.no_grad():
                    reference_logprobs[rows, :width] = token_logprobs(reference, *inputs)
        of_rows = [tensor[rows, :width] for tensor in (old_logprobs, weights, reference_logprobs)]
        loss, clipped = policy_loss(
            logprobs, of_rows[0], advantages.flatten()[rows], of_rows[1], config.clip, of_rows[2], config.kl
        )
        (loss * world_size() if policy.is_sharded else loss).backward()  # FSDP takes the mean over processes
        gap = ((old_logprobs - sampler_logprobs)[rows, :width].abs() * of_rows[1]).sum()
        return torch.stack([loss.detach(), clipped / live_weight, gap / live_weight])

    stats = {"loss": 0.0, "clip_fraction": 0.0, "logprob_gap": 0.0, "grad_norm": 0.0}
    budget = config.micro_batch_tokens
    lengths = rollout.completion_mask.sum(-1)
    for epoch in range(config.updates_per_batch if live.any() else 0):
        while True:
            optimizer.zero_grad()
            parts = micro_batches(lengths, mine, rollout.prompt_ids.shape[1], budget)
            if policy.is_sharded:  # every process has to run the model equally often: on a row that is not its own
                idle = (~mine).flatten().nonzero()[0]
                parts += [idle] * (max(gather([len(parts)])) - len(parts))
            try:
                totals = sum((backward(rows, first=epoch == 0) for rows in parts), torch.zeros(3, device=live.device))
                break
            except torch.OutOfMemoryError:
                if policy.is_sharded:
                    raise UsageError("out of memory; with --shard, choose fewer --micro-batch-tokens") from None
                if max(map(len, parts)) == 1:
                    raise UsageError("not even one sample fits into memory; try fewer --max-new-tokens") from None
                budget //= 2
        for parameter in parameters:
            if parameter.grad is None:  # a process without a share of its own
                parameter.grad = torch.zeros_like(parameter)
        sum_over_processes([totals, *([] if policy.is_sharded else (parameter.grad for parameter in parameters))])
        grad_norm = whole(torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)).item()
        for name, value in zip(stats, (*totals.tolist(), grad_norm), strict=True):
            stats[name] += value / config.updates_per_batch
        if not math.isfinite(grad_norm):
            break
        optimizer.step()
        policy.refresh_sampler()
    return stats


# ----------------------------------------------------------------------------------------------------------------------
# 11. Run folder: what is written, whole or not at all, and how a run is resumed

# Settings that a resumed run may change: they do not change what it computes, but for rounding.
FREE_ON_RESUME = {"steps", "eval_every", "save_every", "device", "workers", "out", "resume"}
FREE_ON_RESUME |= {"micro_batch_tokens", "gradient_checkpointing", "shard"}


def require_same_settings(config: Config, folder: Path) -> None:
    """Refuse to go on with a run under other settings."""
    saved = asdict(saved_config(folder))
    for name, value in asdict(config).items():
        if name not in FREE_ON_RESUME and value != saved[name]:
            raise UsageError(
                f"the run in {folder} was made with {name} {saved[name]!r}, not {value!r}; "
                f"leave {name} out to resume it, or start a new run"
            )


def training_problems(config: Config) -> tuple[list[Problem], list[Problem]]:
    """The problems to train on, before any choice by their solutions or by the policy, and those to evaluate on."""
    if config.problems == "toy":
        problems, held_out = (toy_problems(split, config.families, config.levels) for split in ("train", "test"))
    else:
        problems = load_problems(config.problems)
        order = _epoch_order(len(problems), 0)
        held_out = [problems[i] for i in order[: max(1, len(problems) // 10)]]
        if not config.held_out and len(problems) > 1:
            problems = [problems[i] for i in sorted(order[len(held_out) :])]
    if config.held_out:
        held_out = load_problems(config.held_out)
    if not problems or not held_out:
        raise UsageError(f"no toy problem is left for families {config.families} and levels {config.levels}")
    return problems, held_out[: config.eval_size]


def those_that_fit(policy: Policy, problems: list[Problem], config: Config) -> list[Problem]:
    """The problems whose prompt leaves room for a completion in the model's context."""
    room = policy.context - config.max_new_tokens
    fitting = [problem for problem in problems if 1 <= len(policy.prompt_ids(problem)) <= room]
    if not fitting:
        _encode_prompts(policy, problems, config.max_new_tokens)  # says so
    if len(fitting) < len(problems) and rank() == 0:
        left_out = f"{len(problems) - len(fitting)} of {len(problems)} problems are left out"
        print(f"minirl: {left_out}: their prompts are longer than {room} tokens", file=sys.stderr)
    return fitting


def choose_problems(
    problems: list[Problem], policy: Policy, sandbox: Sandbox, config: Config, folder: Path
) -> list[Problem]:
    """The problems whose own solution passes (drop_broken), and of those the ones that the base model solves neither
    too rarely nor too often (min_pass, max_pass). The run folder keeps their task ids, for the run to be resumed."""
    if not (config.drop_broken or config.min_pass > 0 or config.max_pass < 1):
        return problems
    file, chosen = folder / "problems.json", problems
    if gather([file.exists()])[0]:
        names = set(gather([json.loads(file.read_text()) if rank() == 0 else None])[0])
        return [problem for problem in problems if problem.task_id in names]
    if config.drop_broken:
        broken = gather([check_solutions(problems, sandbox) if rank() == 0 else None])[0]
        chosen = [problem for problem in problems if problem.task_id not in broken]
    if chosen and (config.min_pass > 0 or config.max_pass < 1):
        measured = folder / "evaluations" / "training_problems.jsonl"
        rows = evaluate(policy, chosen, sandbox, config, _seed(config.seed, "choose"), measured)
        shares = [np.mean([all(passes) for passes in row["outcomes"]]) for row in rows]
        pairs = zip(chosen, shares, strict=True)
        chosen = [problem for problem, share in pairs if config.min_pass <= share <= config.max_pass]
    if not chosen:
        raise UsageError(f"none of the {len(problems)} problems is left; see --drop-broken, --min-pass and --max-pass")
    if rank() == 0:
        print(f"minirl: {len(chosen)} of {len(problems)} problems are left to train on", file=sys.stderr)
        write_text(file, json.dumps([problem.task_id for problem in chosen]))
    return chosen


def new_run_folder(config: Config) -> Path:
    """Make the folder of a new run: config.out, or the first free name below runs/."""
    model = re.sub(r"[^\w.-]+", "-", config.model).strip("-.")
    name = f"{model}-{config.algorithm}-{config.reward}-seed{config.seed}"
    names = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
    folder = Path(config.out) if config.out else next(f for n in names if not (f := Path("runs") / n).exists())
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(
                f"the folder {folder} is not empty; choose another --out, or go on with its run: --resume {folder}"
            )
        (folder / "rollouts").mkdir(parents=True)
        (folder / "evaluations").mkdir()
    except OSError as error:
        raise UsageError(f"cannot make the run folder {folder}: {error}") from None
    return folder


def saved_config(folder: Path) -> Config:
    """The settings of the run in a folder."""
    try:
        saved = json.loads((folder / "config.json").read_text())
        return Config(**{**saved, "resume": str(folder), "out": str(folder)})
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"there is no run to resume in {folder}: {error}") from None


def save_checkpoint(folder: Path, policy: Policy, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write folder/checkpoint. At every moment either it or checkpoint.old is whole, so a killed run can go on."""
    new, current, old = folder / "checkpoint.new", folder / "checkpoint", folder / "checkpoint.old"

    def for_the_writer(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        wholes = ((name, whole(tensor)) for name, tensor in tensors.items())  # one at a time: they may not all fit
        return {name: tensor.cpu() for name, tensor in wholes if rank() == 0}

    tied_once = {name for name, _ in [*policy.model.named_parameters(), *policy.model.named_buffers()]}
    weights = for_the_writer({k: v for k, v in policy.model.state_dict().items() if k in tied_once})
    optimizer_state = optimizer.state_dict()
    optimizer_state["state"] = {i: for_the_writer(values) for i, values in optimizer_state["state"].items()}
    if rank() != 0:
        return
    shutil.rmtree(new, ignore_errors=True)
    try:
        with writing(current):
            (policy.sampler if policy.is_sharded else policy.model).save_pretrained(new, state_dict=weights)
            policy.tokenizer.save_pretrained(new)
            torch.save({"step": step, "optimizer": optimizer_state}, new / "trainer.pt")
            if current.exists():
                shutil.rmtree(old, ignore_errors=True)
                current.rename(old)
            new.rename(current)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run folder; None where there is none (yet)."""
    found = [folder / name for name in ("checkpoint", "checkpoint.old") if (folder / name).exists()]
    if found and not (found[0] / "trainer.pt").exists():
        raise UsageError(f"the checkpoint {found[0]} is damaged: its trainer.pt is missing")
    return found[0] if found else None


def load_trainer_state(checkpoint: Path, optimizer: torch.optim.Optimizer) -> int:
    """Restore the optimizer; returns the number of steps done."""
    try:
        state = torch.load(checkpoint / "trainer.pt", weights_only=True, map_location="cpu")
        for i, parameter in enumerate(optimizer.param_groups[0]["params"]):
            if isinstance(parameter, DTensor):
                values = state["optimizer"]["state"][i]
                for name in ("exp_avg", "exp_avg_sq"):  # the same order in all processes
                    value = values[name].to(parameter.device)
                    values[name] = distribute_tensor(value, parameter.device_mesh, parameter.placements)
        optimizer.load_state_dict(state["optimizer"])
        return state["step"]
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise UsageError(f"cannot read {checkpoint / 'trainer.pt'}: {_first_line(error)}") from None


def rollout_rows(
    problems: Sequence[Problem], rollout: Rollout, outcomes: torch.Tensor, mask: torch.Tensor
) -> list[dict[str, Any]]:
    """What is saved of a graded rollout, a row a problem: any reward can be recomputed from it."""
    rows = []
    for p, problem in enumerate(problems):
        exists = mask[p, 0]
        rows.append(
            {
                "task_id": problem.task_id,
                "prompt": problem.prompt,
                "completions": rollout.completions[p],
                "programs": [problem.program(text, rollout.verbatim).source for text in rollout.completions[p]],
                "outcomes": outcomes[p, :, exists].int().tolist(),
                "verdicts": [[str(verdict) for verdict in verdicts] for verdicts in rollout.verdicts[p]],
            }
        )
    return rows


def outcomes_of_rows(rows: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Saved rows back to outcomes and mask, both [P, G, T]."""
    shape = (len(rows), len(rows[0]["outcomes"]), max(len(row["outcomes"][0]) for row in rows))
    outcomes, mask = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for p, row in enumerate(rows):
        matrix = torch.tensor(row["outcomes"], dtype=torch.bool)
        outcomes[p, :, : matrix.shape[1]], mask[p, :, : matrix.shape[1]] = matrix, True
    return outcomes, mask


@contextlib.contextmanager
def writing(path: Path):
    """Say in a sentence what could not be written, on a full disk for example."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have errors of their own
        words = f"cannot write {path}: {_first_line(error)}; what was written before is whole, so a run can be resumed"
        raise UsageError(words) from None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    scratch = path.with_name(path.name + ".new")
    with writing(path):
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def append_jsonl(path: Path, row: dict[str, Any]) -> None:
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of ours; a last line that a killed run left unfinished is dropped."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


# ----------------------------------------------------------------------------------------------------------------------
# 12. Diagnostics: one group under the microscope, and the curves of runs


def inspect_group(rows: Sequence[dict[str, Any]], index: int, shown: Sequence[str] = ("binary", "pass_rate")) -> str:
    """A table of one saved group: a line a sample, the best first, with a mark per test, and its reward and advantage
    under the rewards shown and every algorithm. (The step's other groups matter to reinforce alone.)"""
    outcomes, mask = outcomes_of_rows(rows)
    row = rows[index]
    first = row["completions"].index
    columns: list[tuple[str, str, torch.Tensor]] = []  # reward, heading, values [G]
    for reward_name in shown:
        rewards = find_reward(reward_name)(outcomes, mask)
        columns.append((reward_name, "reward", rewards[index]))
        columns += [(reward_name, name, advantage(rewards)[index]) for name, advantage in ADVANTAGES.items()]
    marks = ["".join("✓" if passed else "✗" for passed in passes) for passes in row["outcomes"]]
    samples = collections.Counter(row["completions"])  # identical completions share a line
    width = max(len("tests"), len(marks[0]))
    lines = [
        row["prompt"].rstrip(),
        "",
        (" " * (width + 6) + "  ".join(f"{name:^46}" for name in shown)).rstrip(),
        f"      {'tests':{width}}" + "".join(f"{name:>{8 if name == 'reward' else 10}}" for _, name, _ in columns),
    ]
    for completion, count in sorted(samples.items(), key=lambda item: -sum(row["outcomes"][first(item[0])])):
        g = first(completion)
        values = [(heading, float(of_group[g])) for _, heading, of_group in columns]
        cells = [f"{v:8.2f}" if name == "reward" else f"{v:+10.2f}" if v else f"{'0':>10}" for name, v in values]
        lines.append(f"{f'{count}×':>4}  {marks[g]:{width}}{''.join(cells)}")
        lines += [f"      {line}" for line in (completion.rstrip() or "(nothing)").splitlines()]
        failures = collections.Counter(verdict for verdict in row["verdicts"][g] if verdict != "passed")
        if failures:
            lines.append(f"      ({', '.join(f'{n} {verdict}' for verdict, n in failures.most_common())})")
    dead = [name for name, reward in REWARDS.items() if is_dead(reward(outcomes, mask)[index]).item()]
    lines += ["", f"No signal for this group under: {', '.join(dead) or 'none of the rewards'}."]
    return "\n".join(lines)


def most_instructive(rows: Sequence[dict[str, Any]]) -> int:
    """The group with the most different outcomes, preferring one with a full pass and a partial one."""
    outcomes, mask = outcomes_of_rows(rows)
    rates = pass_rate(outcomes, mask)
    mixed = (rates == 1).any(-1) & (rates < 1).any(-1)
    return int((torch.tensor([len(set(group.tolist())) for group in rates]) + 100 * mixed).argmax())


def sample_gradients(policy: Policy, rollout: Rollout, p: int, weights: torch.Tensor, only: str = "") -> torch.Tensor:
    """The gradient of every sample of group p on its own: g_i = grad sum_t w_it log pi(o_it). [G, L] -> [G, D].

    With the trainer's weights (token_weights), sum_i A_i g_i is the on-policy gradient that it climbs. D is the number
    of parameters, or of those whose names match the regular expression `only`: a large model has too many for G copies.
    """
    parameters = [x for name, x in policy.model.named_parameters() if x.requires_grad and re.search(only, name)]
    if not parameters:
        raise UsageError(f"no parameter's name matches {only!r}")
    ids, mask = rollout.completion_ids[p], rollout.completion_mask[p]
    prompt = rollout.prompt_ids[p : p + 1], rollout.prompt_mask[p : p + 1]
    rows: dict[tuple[int, ...], torch.Tensor] = {}
    for i in range(len(ids)):
        key = tuple(ids[i][mask[i]].tolist())
        if key not in rows:
            logprobs = token_logprobs(policy, *prompt, ids[i : i + 1], mask[i : i + 1], rollout.temperature)
            gradients = torch.autograd.grad((logprobs * weights[i]).masked_fill(~mask[i], 0.0).sum(), parameters)
            rows[key] = torch.cat([gradient.flatten() for gradient in gradients])
    return torch.stack([rows[tuple(row[m].tolist())] for row, m in zip(ids, mask, strict=True)])


def written_rollout(policy: Policy, problem: Problem, texts: Sequence[str]) -> Rollout:
    """A rollout of one group with these completions, as if the policy had written them and an end token after each."""
    prompt = _pad(policy, [policy.prompt_ids(problem)], side="left")
    ids, mask = _pad(policy, [[*_encode(policy, text), policy.eos_ids[0]] for text in texts], side="right")
    zeros = torch.zeros(1, *ids.shape, device=ids.device)
    return Rollout(*prompt, ids[None], mask[None], zeros, zeros, [list(texts)], 1.0)


def _cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """The cosine of two vectors, or of the last dimensions' mean; nan if one is 0."""
    size = a.norm() * b.norm()
    return float(a @ b / size) if size > 0 else math.nan


def gradient_report(
    policy: Policy,
    problem: Problem,
    rollout: Rollout,
    outcomes: torch.Tensor,
    mask: torch.Tensor,
    p: int = 0,
    *,
    config: Config | None = None,
    rewards: Sequence[str] = tuple(REWARDS),
    only: str = "",
) -> dict[str, Any]:
    """How the samples of group p of a graded rollout push the policy, together and against each other.

    cosines      [G, G]  of the samples' gradients (sample_gradients); norms [G]; pass_rates [G]
    rewards      for each reward, under config's algorithm:
      cancellation  |sum A_i g_i| / sum |A_i| |g_i|: what is left of all pushes. 1 if they go one way, near 0 if they
                    cancel; nan in a dead group
      orthogonal    the same if all g_i were orthogonal, sqrt(sum A_i^2 |g_i|^2) / sum |A_i| |g_i|
      partial       the share of sum |A_i| |g_i| that partial passes contribute
      alignment     cosine of sum A_i g_i with the gradient of the log-probability of problem.solution
      own_alignment ... with that of the group's own full passes, nan if it has none
      gain          change of the log-probability of problem.solution by one step of AdamW in that direction, in nats
                    (all parameters, whatever `only` says)
    """
    config = config or Config()
    normalisation = NORMALISATION[config.algorithm] if config.normalisation == "auto" else config.normalisation
    weights = token_weights(rollout.completion_mask[p], normalisation, config.max_new_tokens)
    gradients = sample_gradients(policy, rollout, p, weights, only)
    norms = gradients.norm(dim=-1)
    rates, full = pass_rate(outcomes, mask)[p], binary(outcomes, mask)[p] > 0
    partial = ((rates > 0) & ~full).to(norms.device)
    solution = written_rollout(policy, problem, [problem.solution]) if problem.solution is not None else None
    reference = sample_gradients(policy, solution, 0, torch.ones(1, 1), only)[0] if solution else None
    own = gradients[full.to(norms.device)].sum(0)
    report: dict[str, Any] = {
        "cosines": (gradients @ gradients.T / (norms[:, None] * norms).clamp(min=1e-30)).tolist(),
        "norms": norms.tolist(),
        "pass_rates": rates.tolist(),
        "has_full_pass": bool(full.any()),
        "rewards": {},
    }
    for name in rewards:
        advantages = ADVANTAGES[config.algorithm](find_reward(name)(outcomes, mask))[p].to(norms.device)
        total, pushes = advantages @ gradients, advantages.abs() * norms
        live = bool(pushes.sum() > 0)
        report["rewards"][name] = {
            "cancellation": float(total.norm() / pushes.sum()) if live else math.nan,
            "orthogonal": float(pushes.norm() / pushes.sum()) if live else math.nan,
            "partial": float(pushes[partial].sum() / pushes.sum()) if live else math.nan,
            "alignment": _cosine(total, reference) if reference is not None else math.nan,
            "own_alignment": _cosine(total, own),
            "gain": _gain(policy, rollout, p, advantages, weights, solution, config.lr) if live and solution else 0.0,
        }
    return report


def _gain(
    policy: Policy,
    rollout: Rollout,
    p: int,
    advantages: torch.Tensor,
    weights: torch.Tensor,
    solution: Rollout,
    lr: float,
) -> float:
    """How much likelier, in nats, one AdamW step on one group makes a solution."""
    copied = replace(policy, model=copy.deepcopy(policy.model), sampler=None, decoder=None)
    optimizer = torch.optim.AdamW(copied.model.parameters(), lr=lr, weight_decay=0.0)

    def score() -> float:
        with torch.no_grad():
            scores = token_logprobs(copied, *_group(solution, 0))
        return float(scores[solution.completion_mask[0]].sum())

    before = score()
    logprobs = token_logprobs(copied, *_group(rollout, p), rollout.temperature)
    objective = advantages.unsqueeze(-1) * weights * logprobs
    (-objective.masked_fill(~rollout.completion_mask[p], 0.0).sum()).backward()
    optimizer.step()
    return score() - before


def _group(rollout: Rollout, p: int) -> tuple[torch.Tensor, ...]:
    """The prompt, once a sample, and the completions of group p, as token_logprobs takes them."""
    size = rollout.completion_ids.shape[1]
    prompt = (tensor[p : p + 1].expand(size, -1) for tensor in (rollout.prompt_ids, rollout.prompt_mask))
    return *prompt, rollout.completion_ids[p], rollout.completion_mask[p]


def grammar_programs(problem: ToyProblem) -> list[str]:
    """All completions that the toy's grammar can make for a problem: all_slots, and the constants."""
    family = problem.family
    return [toy_completion(family, slots) for slots in all_slots(family)] + [
        f"    return {constant}\n" for constant in family.constants
    ]


def all_slots(family: Family) -> list[tuple[str, str, str]]:
    """Every choice of the three slots, with the care for an empty list and without it."""
    reducers = [*family.reducers.values()]
    reducers += [FORGETFUL[reducer] for reducer in reducers if reducer in FORGETFUL]
    return list(itertools.product(family.filters.values(), family.maps.values(), reducers))


@dataclass
class Enumeration:
    """Every program of the toy's grammar on one problem: M programs, T tests, D parameters.

    rollout        one group of M samples          outcomes  [M, T]
    probabilities  [M], of the policy              gradients [3, D], exactly: of P(full pass), of E[pass rate], and of
                                                   the probability of all these programs together
    """

    rollout: Rollout
    outcomes: torch.Tensor
    probabilities: torch.Tensor
    gradients: torch.Tensor


def enumerate_programs(policy: Policy, problem: ToyProblem, sandbox: Sandbox) -> Enumeration:
    """Grade and score all programs of the grammar: grad sum_y pi(y) R(y) = sum_y pi(y) R(y) grad log pi(y)."""
    texts = grammar_programs(problem)
    rollout = written_rollout(policy, problem, texts)
    outcomes = torch.tensor([result.passed for result in sandbox.map([problem.program(text) for text in texts])])
    rates = outcomes.float().mean(-1)
    values = torch.stack([(rates == 1).float(), rates, torch.ones_like(rates)])  # [3, M]
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    gradients = torch.zeros(3, sum(parameter.numel() for parameter in parameters))
    probabilities = torch.zeros(len(texts))
    ids, mask = rollout.completion_ids[0], rollout.completion_mask[0]
    for rows in torch.arange(len(texts)).split(256):
        prompt_of = torch.zeros(len(rows), dtype=torch.long, device=ids.device)
        prompt = rollout.prompt_ids, rollout.prompt_mask
        scores = token_logprobs(policy, *prompt, ids[rows], mask[rows], prompt_of=prompt_of)
        scores = scores.masked_fill(~mask[rows], 0.0).sum(-1)
        probabilities[rows] = scores.detach().exp().cpu()
        for i in range(3):
            weights = (probabilities[rows] * values[i, rows]).to(scores.device)
            parts = torch.autograd.grad((weights * scores).sum(), parameters, retain_graph=i < 2)
            gradients[i] += torch.cat([part.flatten() for part in parts]).cpu()
    return Enumeration(rollout, outcomes, probabilities, gradients)


def exact_report(
    policy: Policy,
    problem: ToyProblem,
    sandbox: Sandbox,
    *,
    group_sizes: Sequence[int] = (4, 16),
    groups: int = 16,
    rewards: Sequence[str] = tuple(REWARDS),
    algorithm: str = "rloo",
    seed: int = 0,
) -> dict[str, Any]:
    """What groups of samples make of the exact gradient of P(full pass), on a toy problem with enumerated programs.

    mass       the probability that the policy gives to these programs. Groups are drawn from them alone, so all
               gradients here are those of the policy that writes no others: of P(full pass) / mass, E[pass rate] / mass
    p_full, pass_rate, cosine   the two objectives (of the policy as it is), and the cosine of their exact gradients
    rewards    for each reward and group size, over the live ones of `groups` groups, drawn from the enumeration:
      bias       cosine of the expected update with the gradient of P(full pass): do the objectives agree?
      agreement  length of the expected update / length of an update (root mean square): 1 if every group says the
                 same; what variance and conflict leave of it
      cosine     mean cosine of an update with the gradient of P(full pass), about bias * agreement: what counts
                 (bias is an estimate from few groups: it may exceed 1, and is nan if they have nothing in common)
      live       the share of groups with a signal
    """
    programs = enumerate_programs(policy, problem, sandbox)
    rates, mass = programs.outcomes.float().mean(-1), programs.probabilities.sum()
    objectives = torch.stack([programs.probabilities @ (rates == 1).float(), programs.probabilities @ rates])
    targets = programs.gradients[:2] - (objectives / mass).unsqueeze(-1) * programs.gradients[2]  # times mass
    report: dict[str, Any] = {
        "mass": float(mass),
        "p_full": float(objectives[0]),
        "pass_rate": float(objectives[1]),
        "cosine": _cosine(*targets),
        "rewards": {name: {} for name in rewards},
    }
    generator = torch.Generator().manual_seed(seed)
    draws = {
        size: torch.multinomial(programs.probabilities, groups * size, True, generator=generator)
        for size in group_sizes
    }
    drawn = torch.cat(list(draws.values())).unique()
    ids, mask = programs.rollout.completion_ids[:, drawn], programs.rollout.completion_mask[:, drawn]
    some = replace(programs.rollout, completion_ids=ids, completion_mask=mask)
    gradients = sample_gradients(policy, some, 0, torch.ones(len(drawn), 1, device=ids.device)).cpu()  # [distinct, D]
    for size, places in draws.items():
        outcomes = programs.outcomes[places].view(groups, size, -1)
        rows = torch.searchsorted(drawn, places).view(groups, size)
        for name in rewards:
            advantages = ADVANTAGES[algorithm](find_reward(name)(outcomes, torch.ones_like(outcomes)))
            pushes = torch.zeros(groups, len(drawn)).scatter_add_(1, rows, advantages)
            updates = (pushes @ gradients)[(pushes != 0).any(-1)]
            report["rewards"][name][size] = _bias_and_agreement(updates, targets[0]) | {
                "live": len(updates) / groups,
            }
    return report


def _bias_and_agreement(updates: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """Of independent updates u [n, D] with the expected value m, and a target: see exact_report.

    The mean of few updates has noise, which would pass for bias. So |m|^2 is estimated, without that, by the products
    u_i u_j of different updates.
    """
    n = len(updates)
    if n < 2:
        return dict.fromkeys(("bias", "agreement", "cosine"), math.nan)
    products, along = updates @ updates.T, updates @ target / target.norm()
    squares = products.diagonal()
    size = ((products.sum() - squares.sum()).clamp(min=0.0) / (n * (n - 1))).sqrt()  # |m|
    return {
        "bias": float(along.mean() / size) if size > 0 else math.nan,
        "agreement": float(size / squares.mean().sqrt()),
        "cosine": float((along / squares.sqrt()).mean()),
    }


def slot_distances(problem: ToyProblem, outcomes: torch.Tensor) -> torch.Tensor:
    """How many of the three slots separate each program of the grammar (grammar_programs) from the nearest one that
    passes every test: [M, T] -> [M], from 0 to 3. A constant has no slot right."""
    slots = np.array(all_slots(problem.family), dtype=object)
    correct = slots[outcomes[: len(slots)].all(-1).numpy()]
    distances = (slots[:, None] != correct[None]).sum(-1).min(-1)  # [M without constants]
    return torch.tensor([*distances.tolist(), *[3] * len(problem.family.constants)])


def prefix_values(
    policy: Policy,
    problem: Problem,
    completions: Sequence[str],
    sandbox: Sandbox,
    *,
    shares: Sequence[float] = (0.25, 0.5, 0.75),
    samples: int = 8,
    config: Config | None = None,
    seed: int = 0,
) -> torch.Tensor:
    """How often the policy reaches a full pass if it goes on from the first tokens of a completion: [n, shares].

    Monte Carlo, `samples` continuations of each prefix, for any model. A sample whose pass rate promised progress
    should have prefixes from which a full pass is likelier.
    """
    config = config or Config()
    rows = [_encode(policy, text) for text in completions]
    prefixes = [ids[: int(share * len(ids))] for ids in rows for share in shares]
    prompt = policy.prompt_ids(problem)
    continued = replace(policy, decoder=None)
    problems = [replace(problem, task_id=f"{problem.task_id}/{i}") for i in range(len(prefixes))]
    starts = {p.task_id: prefix for p, prefix in zip(problems, prefixes, strict=True)}
    continued.prompt_ids = lambda p: prompt + starts[p.task_id]
    rollout = sample(
        continued, problems, samples, max_new_tokens=config.max_new_tokens, temperature=config.temperature, seed=seed
    )
    texts = [policy.tokenizer.decode(prefix) for prefix in prefixes]
    futures = [
        [sandbox.submit(problem.program(text + rest, rollout.verbatim)) for rest in group]
        for text, group in zip(texts, rollout.completions, strict=True)
    ]
    values = [float(np.mean([future.result().all_passed for future in group])) for group in futures]
    return torch.tensor(values).view(len(completions), len(shares))


def reliability(predicted: np.ndarray, truth: np.ndarray, problem_of: np.ndarray, bins: int = 10) -> dict[str, Any]:
    """How well one number (the pass rate of a sample) tells another one (its progress towards a full pass).

    Returns bins, a list of (mean predicted, mean truth, samples) for a reliability diagram, and Spearman's rank
    correlation with a 95 % interval: a bootstrap over problems, [n] each, 1000 resamples.
    """
    predicted, truth, problem_of = map(np.asarray, (predicted, truth, problem_of))
    place = np.minimum((predicted * bins).astype(int), bins - 1)
    table = [
        (float(predicted[place == b].mean()), float(truth[place == b].mean()), int((place == b).sum()))
        for b in np.unique(place)
    ]
    names, rng = np.unique(problem_of), np.random.default_rng(0)
    members = {name: np.flatnonzero(problem_of == name) for name in names}
    draws = []
    for _ in range(1000):
        chosen = np.concatenate([members[name] for name in rng.choice(names, len(names))])
        draws.append(spearman(predicted[chosen], truth[chosen]))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return {"bins": table, "spearman": spearman(predicted, truth), "low": float(low), "high": float(high)}


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; nan where one side is constant.

    >>> round(spearman(np.array([1, 2, 3]), np.array([1, 8, 9])), 6)
    1.0
    """

    def ranks(x: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return (counts.cumsum() - (counts + 1) / 2)[inverse]

    a, b = ranks(a) - ranks(a).mean(), ranks(b) - ranks(b).mean()
    size = math.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else math.nan


def misleading_tests(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The share of the samples that are no full pass which pass each test all the same: [P, G, T] -> [P, T]; nan where
    every sample is a full pass, and for tests that do not exist. A test near 1 pays for nothing."""
    wrong = (binary(outcomes, mask) == 0).unsqueeze(-1)
    shares = (outcomes & wrong).sum(1) / wrong.sum(1)
    return shares.masked_fill(~mask[:, 0], math.nan)


# One colour a reward, the same in every figure (Okabe and Ito's palette, safe for colour-blind readers).
COLORS = {"binary": "#0072B2", "pass_rate": "#D55E00", "gated": "#009E73", "hard_tests": "#CC79A7"}
COLORS |= {
    "power": "#E69F00",
    "mixed": "#56B4E9",
    "frontier": "#117733",
    "gated_hard": "#999999",
    "elite": "#882255",
    "near_miss": "#000000",
}
LINES = {"grpo": "-", "rloo": "--", "dr_grpo": "-.", "reinforce": ":"}
# The look of every figure, in the notebooks too: plt.rcParams.update(minirl.STYLE).
STYLE = {"figure.figsize": (8, 3.2), "figure.constrained_layout.use": True, "savefig.dpi": 150, "font.size": 10}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
STYLE |= {"legend.frameon": False, "lines.linewidth": 1.8, "image.cmap": "RdBu_r"}


def plot_runs(folders: Sequence[Path], file: Path) -> None:
    """Draw the curves of runs. Runs that differ in their seed alone are one line, the mean; the band is the range."""
    plt = _pyplot()
    runs: dict[str, list[tuple[Config, list[dict[str, Any]]]]] = {}
    for folder in folders:
        config = saved_config(folder)
        settings = {k: v for k, v in asdict(config).items() if k not in FREE_ON_RESUME | {"seed"}}
        runs.setdefault(json.dumps(settings), []).append((config, read_jsonl(folder / "metrics.jsonl")))
    panels = (
        ("eval/pass@1", "held-out pass@1"),
        ("eval/pass_rate", "held-out pass rate"),
        ("dead_groups", "dead groups in training"),
    )
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 3.4), sharex=True)
    for members in runs.values():
        config = members[0][0]
        style = {"color": COLORS.get(config.reward), "linestyle": LINES[config.algorithm]}
        for axis, (name, title) in zip(axes, panels, strict=True):
            curves = [{row["step"]: row[name] for row in rows if name in row} for _, rows in members]
            steps = sorted(set.intersection(*(set(curve) for curve in curves)))
            values = np.array([[curve[step] for step in steps] for curve in curves])
            if not name.startswith("eval/") and values.shape[1] > 10:  # a step has few groups: show a running mean
                kernel = np.ones(10) / 10
                values = np.array([np.convolve(row, kernel, mode="valid") for row in values])
                steps = steps[9:]
                title += " (mean of 10 steps)"
            label = f"{config.algorithm} {config.reward} ({len(members)} seed{'s' * (len(members) > 1)})"
            axis.plot(steps, values.mean(0), label=label, marker="o" if len(steps) < 20 else None, **style)
            axis.fill_between(steps, values.min(0), values.max(0), color=style["color"], alpha=0.15, linewidth=0)
            axis.set(title=title, xlabel="step", ylim=(0, 1))
    several = any(len(members) > 1 for members in runs.values())
    axes[0].legend(fontsize=8, title="mean; band: range over seeds" if several else None, title_fontsize=8)
    _save_figure(figure, file)


def _pyplot() -> Any:
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        plt.rcParams.update(STYLE)
        return plt
    except ImportError:
        raise UsageError("a figure needs matplotlib: pip install matplotlib") from None


def _save_figure(figure: Any, file: Path) -> None:
    try:
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write the figure {file}: {error}") from None
    _pyplot().close(figure)


def summary_cells(summary: dict[str, float], prefix: str = "") -> list[tuple[str, str]]:
    """[("pass@1", "0.512 [0.44, 0.58]"), ...] of what summarize returned."""
    names = [name[len(prefix) :] for name in summary if name.startswith(prefix) and f"{name}_low" in summary]
    values = [[summary[prefix + name + end] for end in ("", "_low", "_high")] for name in names]
    return [(name, "{:.3f} [{:.2f}, {:.2f}]".format(*v)) for name, v in zip(names, values, strict=True)]


def report(folder: Path) -> str:
    """What a run achieved: held-out results and one problem's sample, before and after, and where things are."""
    metrics = read_jsonl(folder / "metrics.jsonl")
    rows = [row for row in metrics if "eval/pass@1" in row]
    first, last = rows[0], rows[-1]
    before, after = (read_jsonl(folder / "evaluations" / f"step_{row['step']:06d}.jsonl") for row in (first, last))
    lines = [f"  {'held out':12}{'before':>24}{'after ' + str(last['step']) + ' steps':>24}"]
    cells = zip(summary_cells(first, "eval/"), summary_cells(last, "eval/"), strict=True)
    lines += [f"  {name:12}{a:>24}{b:>24}" for (name, a), (_, b) in cells]
    counts = f"{len(after)} problems, {len(after[0]['completions'])} samples each"
    lines.append(f"  ({counts}; in brackets: 95 % interval over problems)")
    gains = [sum(map(all, b["outcomes"])) - sum(map(all, a["outcomes"])) for a, b in zip(before, after, strict=True)]
    most = max(range(len(gains)), key=gains.__getitem__)
    lines += ["", before[most]["prompt"].rstrip()]
    for name, row in (("before", before[most]), ("after", after[most])):
        marks = "".join("✓" if passed else "✗" for passed in row["outcomes"][0])
        code = row["completions"][0].strip("\n").replace("\n", "\n" + " " * (len(marks) + 11)) or "(nothing)"
        lines.append(f"  {name:7}{marks}  {code}")
    seconds = [row["seconds"] for row in metrics if "seconds" in row]
    if seconds:
        parts = {name: float(np.median([row[name] for row in seconds])) for name in seconds[0]}
        shares = ", ".join(f"{name} {part:.2f}" for name, part in parts.items())
        lines += ["", f"a step took {sum(parts.values()):.2f} s: {shares} (medians)"]
    lines += [
        "",
        f"{folder}/ holds metrics.jsonl, rollouts/, evaluations/ and checkpoint/",
        f"next: minirl inspect {folder}    minirl plot {folder}    minirl eval --model {folder}",
    ]
    return "\n".join(lines)


# ----------------------------------------------------------------------------------------------------------------------
# 13. Study: a grid of runs with paired seeds, a table and a figure

COMPARED = ["binary", "pass_rate", "gated", "hard_tests", "near_miss"]
SPARSEST = {"toy_noise": [0.65], "steps": [80]}  # a weak base takes longer
STUDY = {
    "grids": [
        SPARSEST | {"algorithm": ["grpo", "rloo"], "reward": COMPARED},
        SPARSEST | {"algorithm": ["grpo"], "reward": ["power", "mixed", "frontier", "gated_hard", "elite"]},
        SPARSEST | {"algorithm": ["dr_grpo"], "reward": ["binary", "pass_rate"]},
        {"toy_noise": [0.47], "steps": [40], "algorithm": ["grpo", "rloo"], "reward": COMPARED},
        {"toy_noise": [0.3], "steps": [30], "algorithm": ["grpo", "rloo"], "reward": COMPARED},
    ],
    "seeds": [0, 1, 2, 3, 4],
    "settings": {"problems_per_step": 12, "eval_every": 40, "lr": 4e-4},
    "tune": {"lr_factors": [0.5, 1, 2], "algorithm": "grpo", "seed": 100, "toy_seed": 0},
}
QUICK_STUDY = {
    "grids": [{"toy_noise": [0.47], "algorithm": ["grpo"], "reward": ["binary", "pass_rate", "gated"]}],
    "seeds": [0, 1],
    "settings": {"steps": 60, "eval_every": 20},
}


class RememberingSandbox(Sandbox):
    """A sandbox that keeps its results in a file (SQLite), which several processes may share: the runs of a study write
    many programs again. What may have been the clock's verdict is not kept."""

    def __init__(self, file: Path, *settings: Any):
        super().__init__(*settings)
        self._writing = threading.Lock()
        self._known = sqlite3.connect(file, timeout=60.0, isolation_level=None, check_same_thread=False)
        self._known.execute("PRAGMA journal_mode=WAL")
        self._known.execute("PRAGMA synchronous=OFF")
        self._known.execute("CREATE TABLE IF NOT EXISTS results (program BLOB PRIMARY KEY, verdicts TEXT)")

    def submit(self, program: Program) -> concurrent.futures.Future[Result]:
        key = hashlib.sha256(repr((program, self.settings)).encode()).digest()
        with self._writing:
            found = self._known.execute("SELECT verdicts FROM results WHERE program = ?", (key,)).fetchone()
        if found:
            known: concurrent.futures.Future[Result] = concurrent.futures.Future()
            verdicts = tuple(map(Verdict, found[0].split()))
            known.set_result(Result(verdicts, ("",) * len(verdicts), (0.0,) * len(verdicts)))
            return known
        future = super().submit(program)
        future.add_done_callback(lambda future: self._keep(key, future))
        return future

    def _keep(self, key: bytes, future: concurrent.futures.Future[Result]) -> None:
        if future.cancelled() or future.exception():
            return
        verdicts = future.result().verdicts
        if not {Verdict.timeout, Verdict.skipped, Verdict.sandbox_error} & set(verdicts):
            with self._writing:
                self._known.execute("INSERT OR IGNORE INTO results VALUES (?, ?)", (key, " ".join(verdicts)))


def conditions_of(study: dict[str, Any]) -> list[dict[str, Any]]:
    """What a study compares: every combination of the values of each of its grids, without the seed."""
    grids = study["grids"]
    return [dict(zip(grid, values, strict=True)) for grid in grids for values in itertools.product(*grid.values())]


def tuning_runs(study: dict[str, Any], condition: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of which the best one tells the learning rate of a condition; conditions may share them."""
    tune = dict(study.get("tune", {}))
    factors = tune.pop("lr_factors", [])
    rate = Config(**study.get("settings", {}) | condition).lr
    return [condition | tune | {"lr": rate * factor} for factor in factors]


def settings_of(study: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """All settings of a run: a seed has a base model of its own, unless the run says otherwise."""
    return study.get("settings", {}) | {"toy_seed": run["seed"]} | run


def tuning_score(row: dict[str, Any]) -> float:
    """The share of full passes in the last quarter of training. No held-out problem is looked at."""
    curve = row["training"]["full_pass"]
    return float(np.mean(curve[-max(1, len(curve) // 4) :]))


def check_study(study: dict[str, Any]) -> None:
    """Raise UsageError for a study that could not be run."""
    known = {"grids", "seeds", "settings", "tune"}
    try:
        if unknown := set(study) - known:
            raise UsageError(f"a study has the fields {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}")
        runs = [run | {"seed": seed} for run in conditions_of(study) for seed in study["seeds"]]
        for run in runs + [run for condition in conditions_of(study) for run in tuning_runs(study, condition)]:
            Config(**settings_of(study, run))
        if not runs or len({json.dumps(run, sort_keys=True) for run in runs}) < len(runs):
            raise UsageError("a study needs at least one run, and none twice")
    except UsageError:
        raise
    except (TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"this is not a study: {error!r}") from None


def run_study(study: dict[str, Any], folder: Path, jobs: int = 0) -> dict[str, Any]:
    """Run what is missing of a study, several runs at a time (jobs; 0: one a core); returns its results.

    study  grids     a list of {setting: [values]}: its conditions are the combinations of each
           seeds     of every condition's runs. A seed has a base model of its own where that is the toy, and one order
                     of problems and one stream of random numbers, in all conditions: runs are paired
           settings  of all runs
           tune      optional, {"lr_factors": [...], and settings}: a condition's learning rate is multiplied by each,
                     and that is taken with which a run under these settings has most full passes in the last
                     quarter of its training

    folder/results.json is written after every run, so a study that was interrupted goes on where it was. It holds
    {study, seconds, tuning, runs}; each row of the last two has the settings that are the run's own ("run"), "seconds",
    the curves of its "training", and for every evaluation how many "tests" of the problem each sample passed.
    """
    check_study(study)
    file = folder / "results.json"
    results = read_results(file) if file.exists() else {"study": study, "seconds": 0.0, "tuning": [], "runs": []}
    if results["study"] != study:
        raise UsageError(f"{file} holds the results of another study; choose another --out")
    conditions = conditions_of(study)
    tuning = [run for condition in conditions for run in tuning_runs(study, condition)]
    tuning = [run for i, run in enumerate(tuning) if run not in tuning[:i]]
    total = len(tuning) + len(conditions) * len(study["seeds"])
    done = len(results["tuning"]) + len(results["runs"])
    if done == total:
        return results
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    jobs = jobs or (1 if torch.cuda.is_available() else count_cores())
    os.environ["OMP_NUM_THREADS"] = str(max(1, count_cores() // jobs))  # of the workers, which inherit these two
    os.environ["TQDM_DISABLE"] = "1"
    before, started = results["seconds"], time.perf_counter()
    log = str(folder / "log.txt")
    with (
        concurrent.futures.ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), _start_worker, (log,)
        ) as pool,
        tqdm(total=total, initial=done, desc="study", unit="run", dynamic_ncols=True) as bar,
    ):

        def run_all(runs: list[dict[str, Any]], place: str, **settings: Any) -> None:
            finished = [row["run"] for row in results[place]]
            tasks = {}
            for run in (run for run in runs if run not in finished):
                name = re.sub(r"[^\w.]+", "-", "-".join(f"{value}" for value in (place, *run.values())))
                tasks[pool.submit(study_run, settings_of(study, run) | settings, folder / "runs" / name)] = run
            for task in concurrent.futures.as_completed(tasks):
                results[place].append({"run": tasks[task], **task.result()})
                results["seconds"] = before + time.perf_counter() - started
                write_text(file, json.dumps(results, separators=(",", ":")))
                bar.update()

        try:
            seeded = [condition | {"seed": seed} for seed in study["seeds"] for condition in conditions]
            configs = [Config(**settings_of(study, run)) for run in tuning + seeded]
            bases = {(config.toy_noise, config.toy_seed) for config in configs if config.model == "toy"}
            for task in [pool.submit(_make_base, *base) for base in bases]:
                task.result()
            run_all(tuning, "tuning", eval_size=1, eval_every=0)
            run_all([run | tuned_rate(study, results, run) for run in seeded], "runs")
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, concurrent.futures.BrokenExecutor):
                words = f"a process of the study died (out of memory?), see {log}; the same command goes on"
                raise UsageError(words) from None
            raise
    return results


def _start_worker(log: str) -> None:
    """What a worker of a study prints goes to a file, not into the bar; and it ends when the study has died."""
    threading.Thread(target=lambda: (multiprocessing.parent_process().join(), os._exit(1)), daemon=True).start()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)


def tuned_rate(study: dict[str, Any], results: dict[str, Any], run: dict[str, Any]) -> dict[str, float]:
    """{"lr": the best rate of a run's condition}, or {} in a study that does not tune."""
    condition = {name: value for name, value in run.items() if name != "seed"}
    tried = tuning_runs(study, condition)
    rows = [row for row in results["tuning"] if row["run"] in tried]
    return {"lr": max(rows, key=tuning_score)["run"]["lr"]} if rows else {}


def _make_base(noise: float, seed: int) -> None:
    """Make a base model where it is missing: in one process, before several want it."""
    _toy_base(noise, seed)


@functools.cache
def _sandbox_of_study(file: Path, *settings: Any) -> RememberingSandbox:
    return RememberingSandbox(file, *settings)


def study_run(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One run of a study, in a process that has others before and after it; its row of the results.
    The folder keeps everything but the checkpoint."""
    started = time.perf_counter()
    config = Config(**settings, out=str(folder))
    if find_checkpoint(folder):  # it was interrupted
        config = replace(config, resume=str(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)
    train(config, _sandbox_of_study(folder.parent / "programs.sqlite", 2, config.cpu_seconds, config.memory_mb))
    metrics = read_jsonl(folder / "metrics.jsonl")
    steps = [row["step"] for row in metrics if "eval/pass@1" in row]
    evaluations = {step: read_jsonl(folder / "evaluations" / f"step_{step:06d}.jsonl") for step in steps}
    training = [row | row["census"] for row in metrics if "census" in row]
    names = ["full_pass", "pass_rate", "dead_groups", "entropy", "grad_norm", *training[0]["census"]]
    shutil.rmtree(folder / "checkpoint")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "training": {name: [round(row[name], 4) for row in training] for name in names},
        "tests": [len(row["outcomes"][0]) for row in evaluations[0]],
        "evaluations": {
            str(step): [[sum(passes) for passes in row["outcomes"]] for row in rows]
            for step, rows in evaluations.items()
        },
    }


def read_results(file: Path) -> dict[str, Any]:
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        results["study"], results["seconds"], results["tuning"], results["runs"]
        return results
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"cannot read the results of a study in {file}: {error!r}") from None


def curves_of(row: dict[str, Any]) -> tuple[list[int], dict[str, np.ndarray]]:
    """The steps of a run's evaluations, and pass@1, ... of each problem at each: [evaluations, P]."""
    steps = sorted(map(int, row["evaluations"]))
    columns = []
    for step in steps:
        groups = zip(row["evaluations"][str(step)], row["tests"], strict=True)
        columns.append(columns_of_rates([[passed / tests for passed in counts] for counts, tests in groups]))
    return steps, {name: np.array([column[name] for column in columns]) for name in columns[0]}


def crossed_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of values [S seeds, P problems], some of which may be nan, and its 95 % interval: a bootstrap over seeds
    and over problems at once, 2000 resamples. Of few seeds such an interval is too narrow: with five, by a third."""
    rng, known = np.random.default_rng(0), ~np.isnan(values)
    if not known.any():
        return math.nan, math.nan, math.nan
    seeds, problems = (rng.multinomial(n, np.full(n, 1 / n), size=2000) for n in values.shape)
    totals, counts = (np.einsum("bs,sp,bp->b", seeds, x, problems) for x in (np.where(known, values, 0.0), known))
    low, high = np.quantile(totals[counts > 0] / counts[counts > 0], [0.025, 0.975])
    return float(values[known].mean()), float(low), float(high)


def study_summary(results: dict[str, Any], baseline: str = "binary") -> list[dict[str, Any]]:
    """What the results of a study say of each of its conditions, in the order of its grids.

    condition, lr, seeds     the number of its runs so far
    before, pass@1, pass@8, pass_rate, area   (mean, low, high): crossed_interval at the end; pass@1 before, and its
                             mean over the run (the area under its curve)
    difference               the same names, of paired differences to the baseline reward; "pairs", the number of
                             seeds of both, and "above", of those with a higher pass@1. None for the baseline itself
    curves                   the steps of the evaluations, and pass@1, ... of every seed at each: [seeds, evaluations]
    collapsed                the number of runs that ended below where they began, in pass@1
    """
    measured: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    rates: dict[str, float | None] = {}
    all_curves: dict[str, list[tuple[list[int], dict[str, np.ndarray]]]] = {}
    dropped = {"seed", "lr"} if "tune" in results["study"] else {"seed"}
    for row in results["runs"]:
        condition = {name: value for name, value in row["run"].items() if name not in dropped}
        key = json.dumps(condition, sort_keys=True)
        steps, curves = curves_of(row)
        pass_1 = curves["pass@1"]
        areas = (pass_1[1:] + pass_1[:-1]) / 2 * np.diff(steps)[:, None]
        columns = {name: values[-1] for name, values in curves.items()}
        columns |= {"before": pass_1[0], "area": areas.sum(0) / (steps[-1] - steps[0])}
        measured.setdefault(key, {})[row["run"]["seed"]] = columns
        rates[key] = row["run"].get("lr")
        all_curves.setdefault(key, []).append((steps, curves))
    summary = []
    for condition in conditions_of(results["study"]):
        condition = {name: value for name, value in condition.items() if name not in dropped}
        key, base = (json.dumps(condition | other, sort_keys=True) for other in ({}, {"reward": baseline}))
        of_seed = measured.get(key)
        if not of_seed:
            continue
        line: dict[str, Any] = {"condition": condition, "lr": rates[key], "seeds": len(of_seed), "difference": None}
        for name in next(iter(of_seed.values())):
            line[name] = crossed_interval(np.array([columns[name] for columns in of_seed.values()]))
        line["collapsed"] = sum(c["pass@1"].mean() < c["before"].mean() for c in of_seed.values())
        shared = [seed for seed in of_seed if seed in measured.get(base, {})]
        if key != base and shared:
            pairs = [(of_seed[seed], measured[base][seed]) for seed in shared]
            line["difference"] = {
                name: crossed_interval(np.array([mine[name] - other[name] for mine, other in pairs]))
                for name in ("pass@1", "pass@8", "pass_rate", "area")
                if name in line
            }
            line["difference"]["pairs"] = len(pairs)
            line["difference"]["above"] = sum(m["pass@1"].mean() > o["pass@1"].mean() for m, o in pairs)
        of_seeds = [curves for _, curves in all_curves[key]]
        line["curves"] = all_curves[key][0][0], {n: np.array([c[n].mean(-1) for c in of_seeds]) for n in of_seeds[0]}
        summary.append(line)
    return summary


def study_table(results: dict[str, Any], summary: list[dict[str, Any]]) -> str:
    """The summary of a study's results as a table in Markdown, and how long it took."""
    names = [name for name in summary[0]["condition"] if name != "lr"]
    metrics = [name for name in ("pass@1", "pass@8", "pass_rate") if name in summary[0]]
    titles = [*names, "lr", *metrics, "pass@1 - binary's", "seeds above", "area - binary's", "collapsed"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for line in summary:
        cells = [str(line["condition"][name]) for name in names] + [f"{line['lr']:g}" if line["lr"] else ""]
        cells += [f"{line[name][0]:.3f}" for name in metrics]
        difference = line["difference"]
        if difference:
            shown = ["{:+.3f} [{:+.3f}, {:+.3f}]".format(*difference[name]) for name in ("pass@1", "area")]
            cells += [shown[0], f"{difference['above']} of {difference['pairs']}", shown[1]]
        else:
            cells += [""] * 3
        lines.append("| " + " | ".join([*cells, f"{line['collapsed']} of {line['seeds']}"]) + " |")
    tuned = f", and {len(results['tuning'])} to choose learning rates" if results["tuning"] else ""
    lines += [
        "",
        f"{len(results['runs'])} runs{tuned}, in {results['seconds'] / 60:.0f} minutes. Held-out results at the end, "
        "means over seeds. Differences are paired by seed and problem, with a 95 % bootstrap interval over both; area: "
        "pass@1, mean over the run; collapsed: ended with a lower pass@1 than its base model.",
    ]
    return "\n".join(lines)


def plot_study(summary: list[dict[str, Any]], file: Path) -> None:
    """Curves of a study's first algorithm, a column a base model, for the rewards that all of them have; and every
    condition's paired difference to binary."""
    plt = _pyplot()
    algorithms = list(dict.fromkeys(line["condition"].get("algorithm", "") for line in summary))
    bases: dict[str, list[dict[str, Any]]] = {}
    for line in summary:
        base = {k: v for k, v in line["condition"].items() if k not in ("algorithm", "reward")}
        bases.setdefault(", ".join(f"{k} {v}" for k, v in base.items()), []).append(line)
    rewards = [{line["condition"].get("reward", "binary") for line in lines} for lines in bases.values()]
    figure, axes = plt.subplots(3, len(bases), figsize=(4 * len(bases) + 0.5, 9.5), squeeze=False)
    for column, (title, lines) in enumerate(bases.items()):
        for line in (line for line in lines if line["condition"].get("algorithm", "") == algorithms[0]):
            reward = line["condition"].get("reward", "binary")
            if not all(reward in of_base for of_base in rewards):  # it is below, with the others
                continue
            (steps, curves), style = line["curves"], {"color": COLORS.get(reward)}
            for axis, name in zip(axes[:2, column], ("pass@1", "pass_rate"), strict=True):
                values = curves[name]
                axis.plot(steps, values.mean(0), label=reward, marker="o", markersize=3, **style)
                axis.fill_between(steps, values.min(0), values.max(0), alpha=0.08, linewidth=0, **style)
        before = np.mean([line["before"][0] for line in lines])
        axes[0, column].set(title=f"{title}\npass@1 before: {before:.2f}", ylabel="held-out pass@1")
        axes[1, column].set(xlabel="step", ylabel="held-out pass rate")
        for axis in axes[:2, column]:
            axis.set_ylim(bottom=0)
        compared = [line for line in lines if line["difference"]]
        axis = axes[2, column]
        for place, line in enumerate(compared):
            mean, low, high = line["difference"]["pass@1"]
            color = COLORS.get(line["condition"].get("reward"))
            axis.errorbar(mean, -place, xerr=[[mean - low], [high - mean]], color=color, marker="o", capsize=2)
        labels = [" ".join(str(line["condition"].get(k, "")) for k in ("algorithm", "reward")) for line in compared]
        axis.set_yticks([-place for place in range(len(compared))], labels, fontsize=7)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.grid(visible=False, axis="y")
        axis.set(xlabel="final pass@1, minus binary's\n(95 % interval, seeds and problems)")
    axes[0, 0].legend(fontsize=8, title=f"{algorithms[0]}; mean, band: range of seeds", title_fontsize=8)
    _save_figure(figure, file)


# ----------------------------------------------------------------------------------------------------------------------
# 14. Command line


def _parse(
    command: str, argv: list[str], description: str, extra: dict[str, dict[str, Any]], settings: bool = True
) -> tuple[dict[str, Any], argparse.Namespace]:
    """Extra arguments, and Config's fields as flags (by transformers). Returns the settings given, and the extras."""
    from transformers import HfArgumentParser

    def refuse(message: str) -> None:
        raise UsageError(f"{message} (see minirl {command} --help)")

    parser = HfArgumentParser(Config if settings else [], description=description, allow_abbrev=False)
    parser.usage = " ".join(["minirl", command, *(name for name in extra if name[0] != "-"), "[settings]"])
    for name, options in extra.items():
        parser.add_argument(name, **options)
    parser.error = refuse
    names = {setting.name for setting in fields(Config)} if settings else set()
    given = vars(parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(names))))  # None: not given
    chosen = {name: given.pop(name) for name in names}
    return {name: value for name, value in chosen.items() if value is not None}, argparse.Namespace(**given)


def train_command(argv: list[str]) -> None:
    settings, _ = _parse("train", argv, "Train a policy; by default the toy. Also: minirl eval, inspect, plot.", {})
    if "resume" in settings:
        saved = asdict(saved_config(Path(settings["resume"])))
        settings = saved | settings
    folder = train(Config(**settings))
    if rank() == 0:
        print(report(folder))


def eval_command(argv: list[str]) -> None:
    settings, extra = _parse(
        "eval",
        argv,
        "Measure pass@k of --model on --problems; --out FILE.jsonl keeps the samples. Or compare what was measured "
        "before: minirl eval A B, where A and B are such files or run folders.",
        {
            "measured": {"nargs": "*", "type": Path, "help": "one or two files or run folders; none: measure now"},
            "--greedy": {"action": "store_true", "help": "one sample a problem, always the likeliest token"},
        },
    )
    if extra.measured:
        print(compare(extra.measured))
        return
    if "temperature" in settings:
        settings.setdefault("eval_temperature", settings["temperature"])
    if extra.greedy:
        settings |= {"eval_samples": 1, "eval_temperature": 0.0}
    if "eval_size" not in settings and settings.get("problems", "toy") != "toy":
        settings["eval_size"] = sys.maxsize
    config = Config(**settings)
    if config.out and Path(config.out).exists():
        raise UsageError(f"the file {config.out} exists already; choose another --out")
    join_processes(config)
    problems = toy_problems("test", config.families, config.levels)
    with one_goes_first():
        problems = (load_problems(config.problems) if config.problems != "toy" else problems)[: config.eval_size]
    policy = load_policy_together(config.model, config)
    problems = those_that_fit(policy, problems, config)
    with open_sandbox(config) as sandbox:
        if config.drop_broken:
            broken = gather([check_solutions(problems, sandbox) if rank() == 0 else None])[0]
            problems = [problem for problem in problems if problem.task_id not in broken]
        file = Path(config.out) if config.out else None
        rows = evaluate(policy, problems, sandbox, config, _seed(config.seed, "eval", 0), file)
    if rank() == 0:
        print(f"{config.model}\n{describe(rows)}")


def describe(rows: Sequence[dict[str, Any]]) -> str:
    """What was measured, in a few lines."""
    lines = [f"{len(rows)} problems × {len(rows[0]['outcomes'])} samples   [95 % interval over problems]"]
    lines += [f"  {name:10} {cell}" for name, cell in summary_cells(summarize(rows))]
    mix = ", ".join(f"{share:.1%} {verdict}" for verdict, share in verdict_mix(rows).items())
    return "\n".join([*lines, f"samples: {mix}"])


def saved_evaluation(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that `minirl eval --out` wrote, or of the last evaluation of a run."""
    files = sorted((path / "evaluations").glob("step_*.jsonl")) if path.is_dir() else [path]
    rows = read_jsonl(files[-1]) if files else []
    if not rows or not all("outcomes" in row and "verdicts" in row for row in rows):
        raise UsageError(
            f"there is no evaluation in {path}; minirl eval --out FILE.jsonl writes one, and so does a run"
        )
    return rows


def compare(paths: Sequence[Path]) -> str:
    """One measured evaluation in words, or two side by side. Their difference is taken problem by problem, so its
    interval leaves out how much problems differ from each other."""
    evaluations = [saved_evaluation(path) for path in paths]
    if len(paths) == 1:
        return f"{paths[0]}\n{describe(evaluations[0])}"
    if len(paths) > 2:
        raise UsageError(f"minirl eval compares two evaluations, got {len(paths)}")
    by_task = [{row["task_id"]: row for row in rows} for rows in evaluations]
    shared = [task_id for task_id in by_task[0] if task_id in by_task[1]]
    if not shared:
        raise UsageError(f"{paths[0]} and {paths[1]} have no problem in common")
    a, b = (columns_of([rows[task_id] for task_id in shared]) for rows in by_task)
    lines = [
        f"A  {paths[0]}",
        f"B  {paths[1]}",
        f"on {len(shared)} problems of both   [95 % interval over problems]",
        "",
    ]
    lines.append(f"  {'':10}{'A':>22}{'B':>22}{'B - A':>26}")
    for name in (name for name in a if name in b):
        cells = ["{:.3f} [{:.2f}, {:.2f}]".format(*interval(column[name])) for column in (a, b)]
        difference = "{:+.3f} [{:+.2f}, {:+.2f}]".format(*interval(b[name] - a[name]))
        lines.append(f"  {name:10}{cells[0]:>22}{cells[1]:>22}{difference:>26}")
    return "\n".join(lines)


def check_command(argv: list[str]) -> None:
    settings, extra = _parse(
        "check",
        argv,
        "Run the reference solution of every problem in a file; say which problems cannot be trained on, and why.",
        {"file": {"help": "file or URL of problems"}},
    )
    config = Config(**settings)
    problems, without_test = read_problems(extra.file)
    with open_sandbox(config) as sandbox:
        broken = check_solutions(problems, sandbox)
    for task_id in without_test:
        print(f"{task_id}: no test")
    for task_id, reason in broken.items():
        print(f"{task_id}: {reason}")
    unsolved = sum(problem.solution is None for problem in problems)
    print(
        f"{len(problems) + len(without_test)} problems: {len(problems) - len(broken) - unsolved} with a solution that "
        f"passes, {len(broken)} with one that does not, {unsolved} without, {len(without_test)} without a test"
    )


def inspect_command(argv: list[str]) -> None:
    settings, extra = _parse(
        "inspect",
        argv,
        "Put one group of samples under the microscope: of a run, or drawn now from --model.",
        {
            "run": {"nargs": "?", "help": "run folder; none: draw samples now"},
            "--step": {"type": int, "help": "training step of the run; default: its last"},
            "--task-id": {"help": "default: the step's most instructive group"},
        },
    )
    if extra.run:
        files = sorted(Path(extra.run, "rollouts").glob("step_*.jsonl"))
        if not files:
            raise UsageError(f"there are no rollouts to inspect in {extra.run}")
        file = files[-1] if extra.step is None else Path(extra.run, "rollouts", f"step_{extra.step:06d}.jsonl")
        rows = read_jsonl(file)
        if not rows:
            raise UsageError(f"{extra.run} has no rollouts of step {extra.step}; it has {len(files)} steps")
        where, reward = f"{file}, {len(rows)} groups", saved_config(Path(extra.run)).reward
    else:
        config = Config(**settings)
        problems, _ = training_problems(config)
        if extra.task_id:
            problems = [problem for problem in problems if problem.task_id == extra.task_id] or problems
        problems = problems_of_step(problems, config, 1)
        policy = load_policy_together(config.model, config)
        rollout = sample_step(policy, problems, config, 1)
        with open_sandbox(config) as sandbox:
            rows = rollout_rows(problems, rollout, *grade(problems, rollout, sandbox))
        where, reward = f"{config.model}, drawn now, {len(rows)} groups", config.reward
    names = [row["task_id"] for row in rows]
    if extra.task_id and extra.task_id not in names:
        raise UsageError(f"no group of {extra.task_id!r} there; the groups are {', '.join(names)}")
    index = names.index(extra.task_id) if extra.task_id else most_instructive(rows)
    shown = dict.fromkeys(["binary", "pass_rate", reward])
    print(f"{names[index]}   ({where})\n\n{inspect_group(rows, index, list(shown))}")


def plot_command(argv: list[str]) -> None:
    arguments = {
        "runs": {"nargs": "+", "type": Path, "help": "run folders"},
        "--out": {"type": Path, "default": Path("runs.png"), "help": "file to write (png, svg, pdf)"},
    }
    _, given = _parse("plot", argv, "Draw the curves of runs; seeds are averaged.", arguments, settings=False)
    plot_runs(given.runs, given.out)
    print(given.out)


def study_command(argv: list[str]) -> None:
    arguments = {
        "study": {
            "nargs": "?",
            "type": Path,
            "help": "JSON file, see run_study; none: minirl's own, of about 80 minutes",
        },
        "--quick": {"action": "store_true", "help": "a small one, for some minutes"},
        "--out": {"type": Path, "help": "its folder; an interrupted study goes on, a whole one is only evaluated"},
        "--jobs": {"type": int, "default": 0, "help": "runs at the same time; default: one a core, on a GPU one"},
    }
    _, given = _parse("study", argv, "Compare rewards and algorithms over paired seeds.", arguments, settings=False)
    if given.quick and given.study:
        raise UsageError("--quick is a study of its own; leave it or the file out")
    name = "quick-study" if given.quick else given.study.stem if given.study else "study"
    folder = given.out or Path("runs") / name
    study = QUICK_STUDY if given.quick else STUDY
    if given.study:
        try:
            study = json.loads(given.study.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the study {given.study}: {error}") from None
    elif (folder / "results.json").exists():
        study = read_results(folder / "results.json")["study"]
    results = run_study(study, folder, given.jobs)
    summary = study_summary(results)
    table = study_table(results, summary)
    write_text(folder / "table.md", table + "\n")
    print(table)
    plot_study(summary, folder / "figure.png")
    print(f"\n{folder}/ holds results.json, table.md and figure.png")


COMMANDS = {
    "train": train_command,
    "eval": eval_command,
    "check": check_command,
    "study": study_command,
    "inspect": inspect_command,
    "plot": plot_command,
}


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    argv = sys.argv[1:] if argv is None else argv
    command = COMMANDS[argv[0]] if argv and argv[0] in COMMANDS else train_command
    try:
        command(argv[1:] if argv and argv[0] in COMMANDS else argv)
        if dist.is_initialized():
            dist.destroy_process_group()
        return 0
    except (UsageError, SandboxError) as error:
        name = f"minirl, process {rank()}" if world_size() > 1 else "minirl"
        print(f"\r{name}: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError:
        words = "fewer --problems-per-step, --max-new-tokens or (for evaluation) --batch-rows need less"
        print(f"\rminirl: the device ran out of memory; {words}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nminirl: interrupted; a run goes on with --resume FOLDER", file=sys.stderr)
        return 130


def cli() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    cli()
