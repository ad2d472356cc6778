"""minirl: learn and research reinforcement learning for code generation from unit tests, in two files.

    minirl                                          train the toy: a small code model, on a CPU, in minutes
    minirl train --resume runs/NAME --steps 200     go on with a run
    minirl train --model DIR --problems FILE.jsonl  a model of the Hugging Face hub or a folder, and your problems
    torchrun --nproc-per-node 2 minirl.py train     several processes share every batch
    minirl eval --model runs/NAME --samples 32      pass@1, pass@8, pass rate; minirl eval A B compares two
    minirl check FILE.jsonl                         do the reference solutions of the problems pass?
    minirl inspect runs/NAME                        one group of samples under the microscope
    minirl plot runs/A runs/B                       curves                (minirl COMMAND --help: all settings)

Part I is the lesson. It reads from top to bottom in the order in which the data flows, from a test to a weight:
Problem, the toy, Policy, sample, grade, REWARDS, ADVANTAGES, policy_loss, evaluate, update and train.
Part II is the workshop: what the lesson calls and need not know. Each room says what it does, and who calls it.

Shapes are written in this order: P problems, G samples a group, T tests, L completion tokens, V vocabulary; N = P * G.

What minirl leaves out of PPO and GRPO, and where it would go: a value model and GAE (train, instead of ADVANTAGES), an
entropy bonus (policy_loss), a learning-rate decay (train, where the rate is set), top-p sampling (sample; the
log-probabilities must follow), dynamic sampling that replaces dead groups, in which all rewards are equal (train,
before update; tutorials/dynamic_sampling.py has it).
"""

from __future__ import annotations

import argparse
import ast
import base64
import builtins
import collections
import contextlib
import copy
import functools
import gzip
import hashlib
import importlib.metadata
import inspect
import itertools
import json
import math
import os
import pickletools
import random
import re
import runpy
import shutil
import sys
import tempfile
import textwrap
import time
import typing
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from tqdm import tqdm

from sandbox import (
    Call,
    Check,
    FromJson,
    Program,
    Sandbox,
    SandboxError,
    StdIO,
    Verdict,
    count_cores,
    prepare,
    read_test,
    split_test_function,
)

__version__ = "0.1.0"


class UsageError(ValueError):
    """Something the user asked for cannot be done; its text is one sentence with the way out."""


# ======================================================================================================================
# Part I: the lesson. From a test to a weight
# ======================================================================================================================

# From sandbox.py: Call(args, expected), Check("assert ...") and StdIO(stdin, stdout) are tests; a Sandbox runs Programs
# against them. From the workshop, in the order of their use here: definition_of and extract_code (the program in what a
# model says), read_prompt (a prompt's tokens), completion_logits (one pass of the model), Decoder (the same, token by
# token, over a KV cache), have_answered and text_of (of a completion), share, gather and whole_batch (where processes
# share a batch: this one's part, and the whole again; with one process, everything), multiplicities, micro_batches and
# inputs_of (what the update need not run twice, and the rest in parts), open_run (a run folder, log and checkpoints).

# ----------------------------------------------------------------------------------------------------------------------
# 1. Problems: a prompt, and tests that say whether a program solves it


@dataclass(frozen=True)
class Problem:
    """A programming problem: what the policy reads, and the tests that its program must pass.

    >>> Problem("add", "def add(a, b):\\n", [Call((1, 2), 3)], "add").program("    return a + b\\n").source
    'def add(a, b):\\n    return a + b\\n'
    """

    task_id: str
    prompt: str  # a task in words, or Python code that ends in the opened function `entry_point` ("def f(xs):")
    tests: Sequence[Call | Check | StdIO]  # at least one
    entry_point: str | None = None  # name of the function that Call and Check tests call
    solution: str | None = None  # a reference completion, if one is known
    cpu_seconds: float | None = None  # limit of each test, where it is not the sandbox's

    def __post_init__(self):
        if not self.tests:
            raise UsageError(f"field 'tests': problem {self.task_id} has none, so no program can be told from another")
        if self.entry_point is None and any(isinstance(test, Call) for test in self.tests):
            raise UsageError(f"field 'tests': problem {self.task_id} calls a function, but no entry_point names it")

    @functools.cached_property
    def before_function(self) -> str | None:
        """The imports and helpers of a prompt that opens the function; None where the prompt is a task in words."""
        opening = definition_of(self.entry_point).search(self.prompt) if self.entry_point else None
        if not opening or re.search(r"\n[^\s)]", self.prompt[opening.start() :]):  # or something follows the function
            return None
        return self.prompt[: opening.start()]

    def program(self, completion: str, verbatim: bool = False) -> Program:
        """The program that a completion stands for: what extract_code takes out of it, or verbatim all of it."""
        whole = completion if self.before_function is None else self.prompt + completion
        source = whole if verbatim else extract_code(self, completion)
        return Program(source, self.tests, self.entry_point, self.cpu_seconds)


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
NOTHING_ASKED = ("", "x", "c", "{}", "''.join({})")  # the slots that change nothing


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
        level = max(1, sum(code not in NOTHING_ASKED for code in slots))
        sentence = family.sentence.format(filter=words[0], map=words[1], reducer=words[2])
        prompt = f'def f({family.argument}):\n    """{sentence}"""\n'
        solution = toy_completion(family, slots)
        task_id = f"{name}/{level}/" + re.sub(r"\W+", "-", sentence.lower()).strip("-")
        tests = _toy_tests(task_id, prompt + solution, "" if name == "strings" else [])
        if tests:
            of_toy = {"family": family, "slots": slots, "level": level}
            problems.append(ToyProblem(task_id, prompt, tests, "f", solution, **of_toy))
    random.Random(name).shuffle(problems)
    return problems


def toy_completion(family: Family, slots: Sequence[str]) -> str:
    """The completion that fills the slots so: everything that follows the prompt."""
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
# 3. Policy: a language model as a distribution over programs


@dataclass
class Policy:
    """A language model that writes programs: pi(y | x) = prod_t pi(y_t | x, y_<t), y the completion of a prompt x."""

    model: Any  # a causal language model of transformers, in float32, so that small updates are not rounded away
    tokenizer: Any
    eos_ids: tuple[int, ...]  # every token that ends a completion: models often have several
    pad_id: int  # fills the places that masks hide; may be an end token: masks come from lengths, never from ids
    context: int  # tokens the model can attend to, prompt and completion together
    # chat: the task in the model's chat template, with an instruction; completion: code to go on with;
    # verbatim: Problem.prompt, and nothing but an end token ends a completion
    prompt_style: str = "verbatim"
    instruction: str = ""  # what is asked in a chat, if not the usual
    precision: torch.dtype = torch.float32  # of the arithmetic; bfloat16 is faster on a GPU
    sampler: Any = None  # the copy of the model that samples in that precision; in float32, the model itself does

    @property
    def device(self) -> torch.device:
        return self.model.device

    def prompt_ids(self, problem: Problem) -> list[int]:
        """The tokens that the model reads before it writes."""
        return read_prompt(self, problem)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, and none that the tokenizer would put around it."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def pad(self, rows: Sequence[list[int]], side: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of different lengths as one tensor, and the mask of what is real: both [rows, longest].

        side="left" for prompts, whose last token must be in the last place, where the completion begins; else "right".
        """
        layout = {"batch_first": True, "padding_side": side}
        tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
        ids = torch.nn.utils.rnn.pad_sequence(tensors, padding_value=self.pad_id, **layout)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(x, dtype=torch.bool) for x in tensors], **layout)
        return ids.to(self.device), mask.to(self.device)


def token_logprobs(
    policy: Policy,
    prompt_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
    temperature: float = 1.0,
    prompt_of: torch.Tensor | None = None,
) -> torch.Tensor:
    """log pi(y_t | x, y_<t) in nats, of every completion token. Their sum over t is log pi(y | x). Differentiable.

    prompt_* [P, prompt tokens] left-padded, completion_* [N, L] right-padded -> [N, L].
    prompt_of [N] tells the prompt of every completion; without it, the i-th completion belongs to the i-th prompt.
    Values where completion_mask is False mean nothing.
    """
    # model(prompt + completion).logits[:, last token of the prompt : -1]: what the model puts out at a token predicts
    # the next one. So these L places begin at the prompt's last token, and the completion's last is never read.
    logits = completion_logits(policy, prompt_ids, prompt_mask, completion_ids, completion_mask, prompt_of)  # [N, L, V]
    # At temperature T, since that is the policy that sampled; in float32, or the softmax would be off by percents.
    logits = logits.float() / temperature
    return logits.gather(-1, completion_ids.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


# ----------------------------------------------------------------------------------------------------------------------
# 4. Sampling: each problem gets a group of G completions, drawn from the policy at temperature T


@dataclass
class Rollout:
    """A batch of sampled groups. P problems, G samples a group, L completion tokens. grade() fills the last three."""

    prompt_ids: torch.Tensor  # [P, prompt tokens], left-padded
    prompt_mask: torch.Tensor
    completion_ids: torch.Tensor  # [P, G, L], right-padded
    completion_mask: torch.Tensor  # covers the end token and nothing after it: its sum is the number of tokens
    logprobs: torch.Tensor  # [P, G, L] of each sampled token, in nats, at the sampling temperature
    entropy: torch.Tensor  # [P, G, L] of the distribution that it was drawn from
    completions: list[list[str]]  # P lists of G texts
    temperature: float
    cut_off: torch.Tensor | None = None  # [P, G]: was it the token limit that ended it?
    verbatim: bool = False  # completions are programs as they stand (Policy.prompt_style)
    programs: list[list[str]] = field(default_factory=list)  # what was run
    verdicts: list[list[tuple[Verdict, ...]]] = field(default_factory=list)  # [p][g][t]
    details: list[list[tuple[str, ...]]] = field(default_factory=list)  # [p][g][t]: why a test failed


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
) -> Rollout:
    """Draw a group of completions for every problem: plain ancestral sampling from the full distribution.

    No top-k, no top-p and no repetition penalty, whatever the checkpoint's generation_config says: log-probabilities
    of the full vocabulary would not be those of the samples. Temperature 0 is greedy decoding.

    Each group has random numbers of its own, from the seed and the group's place in the batch. So the samples of some
    of a batch's problems, drawn with their `places`, are those that the whole batch would have got.
    """
    if not problems:
        raise UsageError("there is no problem to sample completions for")
    places = range(len(problems)) if places is None else places
    generators = [torch.Generator().manual_seed(seed_of(seed, place)) for place in places]
    uniforms = torch.cat([torch.rand(group_size, max_new_tokens, generator=generator) for generator in generators])
    uniforms = uniforms.to(policy.device)  # [N, max_new_tokens]: one a token
    prompts = fitting_prompts(policy, problems, max_new_tokens)
    prompt_ids, prompt_mask = policy.pad(prompts, side="left")  # [P, prompt tokens]
    ids = torch.full(uniforms.shape, policy.pad_id, device=policy.device)  # [N, max_new_tokens], as these:
    mask = torch.zeros_like(ids, dtype=torch.bool)
    logprobs, entropy, cut_off = torch.zeros_like(uniforms), torch.zeros_like(uniforms), mask[:, 0].clone()
    end_tokens = torch.tensor(policy.eos_ids, device=policy.device)

    decoder = Decoder(policy.sampler or policy.model)
    logits = decoder.start(prompt_ids, prompt_mask, group_size)  # [N, V], of every first token
    rows = torch.arange(len(ids), device=policy.device)  # the unfinished samples: places in N
    for t in range(max_new_tokens):
        distribution = torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)  # [rows, V]
        tokens = draw(distribution.exp(), uniforms[rows, t]) if temperature else distribution.argmax(-1)
        ids[rows, t] = tokens
        mask[rows, t] = True  # the end token's place too: the policy must learn to write it; nothing after it
        logprobs[rows, t] = distribution.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        entropy[rows, t] = entropy_of(distribution)
        # A sample ends with an end token or, where a model would go on in prose, with its answer.
        goes_on = ~(torch.isin(tokens, end_tokens) | have_answered(policy, problems, prompts, ids, rows, t))
        if t == max_new_tokens - 1 or not goes_on.any():
            break
        rows, tokens = rows[goes_on], tokens[goes_on]
        logits = decoder.step(tokens, goes_on)  # [rows, V], of every next token
    cut_off[rows[goes_on]] = True

    length = int(mask.sum(-1).max())
    shape = (len(problems), group_size, length)
    ids, mask, logprobs, entropy = (x[:, :length].reshape(shape) for x in (ids, mask, logprobs, entropy))
    texts = []
    for p, prompt in enumerate(prompts):
        texts.append([text_of(policy, prompt, ids[p, g][mask[p, g]].tolist()) for g in range(group_size)])
    verbatim, cut_off = policy.prompt_style == "verbatim", cut_off.view(shape[:2])
    return Rollout(prompt_ids, prompt_mask, ids, mask, logprobs, entropy, texts, temperature, cut_off, verbatim)


def fitting_prompts(policy: Policy, problems: Sequence[Problem], max_new_tokens: int) -> list[list[int]]:
    """The tokens of every prompt. Raises UsageError where one leaves no room for a completion in the context."""
    prompts = [policy.prompt_ids(problem) for problem in problems]
    for problem, ids in zip(problems, prompts, strict=True):
        if not ids or len(ids) + max_new_tokens > policy.context:
            words = f"the prompt of {problem.task_id} has {len(ids)} tokens; it needs at least 1, and at most the"
            raise UsageError(f"{words} model's context of {policy.context} less max_new_tokens, {max_new_tokens}")
    return prompts


def draw(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """The token at which the cumulative probability exceeds a number of [0, 1): [rows, V], [rows] -> [rows]."""
    cumulative = probabilities.cumsum(-1)
    threshold = uniform.clamp(max=1 - 2**-24).unsqueeze(-1) * cumulative[:, -1:]  # below the sum, 1 but for rounding
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)


def entropy_of(logprobs: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of distributions given by their log-probabilities: [..., V] -> [...]. Uniform ones have log V.
    For the log; its gradient is not finite where a probability underflows."""
    return torch.special.entr(logprobs.exp()).sum(-1)


# ----------------------------------------------------------------------------------------------------------------------
# 5. Outcomes: every completion meets every test of its problem, in the sandbox


def grade(problems: Sequence[Problem], rollout: Rollout, sandbox: Sandbox) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the rollout's programs. Returns outcomes [P, G, T] (True: passed) and mask [P, G, T] (True: the test exists).

    Problems may have different numbers of tests; T is the largest. Also fills the rollout's programs, and its verdicts
    and details, which say why a test failed. One that the sandbox could not run, twice (sandbox_error), has failed.
    """
    if len(problems) != len(rollout.completions):
        raise UsageError(f"a rollout of {len(rollout.completions)} problems cannot be graded with {len(problems)}")
    groups = zip(problems, rollout.completions, strict=True)
    programs = [[problem.program(text, rollout.verbatim) for text in texts] for problem, texts in groups]
    results = sandbox.map(program for group in programs for program in group)  # a group's copies are run once
    results = [[next(results) for _ in group] for group in programs]
    rollout.programs = [[program.source for program in group] for group in programs]
    rollout.verdicts = [[result.verdicts for result in group] for group in results]
    rollout.details = [[result.details for result in group] for group in results]
    shape = (len(problems), len(programs[0]), max(len(problem.tests) for problem in problems))
    outcomes, mask = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for p, problem in enumerate(problems):
        tests = len(problem.tests)
        outcomes[p, :, :tests] = torch.tensor([[v == Verdict.passed for v in vs] for vs in rollout.verdicts[p]])
        mask[p, :, :tests] = True
    return outcomes, mask


# ----------------------------------------------------------------------------------------------------------------------
# 6. Rewards: outcomes [P, G, T] and mask [P, G, T] -> rewards [P, G]. To add one, write a function and an entry


def binary(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """1 if every test passes, else 0: what we want, and sparse. [P, G, T] -> [P, G].

    R = 1[all tests pass].  Outcomes 1111 and 1110 get 1 and 0.
    """
    return (outcomes | ~mask).all(-1).float()  # a test that does not exist stands in nobody's way


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
    full = binary(outcomes, mask)
    solved = full.amax(-1, keepdim=True) > 0  # [P, 1]
    return torch.where(solved, full, pass_rate(outcomes, mask))


def hard_tests(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The share of passed tests, each weighted by how rarely the group passes it. [P, G, T] -> [P, G].

    R = sum_t w_t x_t / sum_t w_t,  w_t = 1 - the group's mean of x_t.  A group 1111 1110 1100 1000 has the weights
    0, 1/4, 1/2, 3/4 and gets 1, 1/2, 1/6, 0: what everybody passes earns nobody anything.
    """
    passed = (outcomes & mask).float()
    weights = (1 - passed.mean(-2, keepdim=True)) * mask
    total = weights.sum(-1)
    return torch.where(total > 0, (weights * passed).sum(-1) / total.clamp(min=1e-9), 1.0)  # 0 if all pass every test


REWARDS = {"binary": binary, "pass_rate": pass_rate, "gated": gated, "hard_tests": hard_tests}
OWN_REWARDS = tuple(REWARDS)


# ----------------------------------------------------------------------------------------------------------------------
# 7. Advantages: rewards [P, G] -> advantages [P, G]. How much better than its baseline, the group's mean, was a sample?


def is_dead(rewards: torch.Tensor) -> torch.Tensor:
    """Which groups carry no signal, because all their rewards are equal: [..., G] -> [..., 1]."""
    return rewards.amax(-1, keepdim=True) - rewards.amin(-1, keepdim=True) < 1e-6


def centered(rewards: torch.Tensor) -> torch.Tensor:
    """R - mean(R). Dead groups get exactly 0: in floating point the mean of eight times 0.7 is not 0.7, and a division
    by the standard deviation would blow that difference up to full size."""
    if rewards.shape[-1] < 2:
        raise UsageError(f"a sample is judged against others: it takes at least 2, got {rewards.shape[-1]}")
    return torch.where(is_dead(rewards), 0.0, rewards - rewards.mean(-1, keepdim=True))


def grpo(rewards: torch.Tensor) -> torch.Tensor:
    """GRPO (Shao et al. 2024, arXiv 2402.03300, section 4.1.2): standardized within the group. [P, G] -> [P, G].

    A_i = (R_i - mean(R)) / std(R), std with the divisor G - 1.  Rewards 1 0 0 0 give 1.5 -0.5 -0.5 -0.5.
    """
    return centered(rewards) / torch.where(is_dead(rewards), 1.0, rewards.std(-1, keepdim=True))


def rloo(rewards: torch.Tensor) -> torch.Tensor:
    """RLOO (Ahmadian et al. 2024, arXiv 2402.14740): minus the mean of the others, leave-one-out. [P, G] -> [P, G].

    A_i = R_i - mean of R_j, j != i = G / (G - 1) (R_i - mean(R)).  Rewards 1 0 0 0 give 1 -1/3 -1/3 -1/3.
    With the same token weights, Dr. GRPO differs from it by that constant alone.
    """
    group_size = rewards.shape[-1]
    return centered(rewards) * group_size / (group_size - 1)


def dr_grpo(rewards: torch.Tensor) -> torch.Tensor:
    """Dr. GRPO (Liu et al. 2025, arXiv 2503.20783, section 3.2): GRPO without the division by std. [P, G] -> [P, G].

    A_i = R_i - mean(R).  Rewards 1 0 0 0 give 0.75 -0.25 -0.25 -0.25.
    """
    return centered(rewards)


def reinforce(rewards: torch.Tensor) -> torch.Tensor:
    """REINFORCE (Williams 1992) with the mean of the whole batch as its baseline. [P, G] -> [P, G].

    A_i = R_i - mean over the batch.  Here a group of equal rewards does get a gradient, unless all groups agree.
    """
    return centered(rewards.flatten()).reshape(rewards.shape)


ADVANTAGES = {"grpo": grpo, "rloo": rloo, "dr_grpo": dr_grpo, "reinforce": reinforce}


# ----------------------------------------------------------------------------------------------------------------------
# 8. Loss: the clipped policy gradient, its normalisation, and the KL penalty

# We want to raise E[R], and the sandbox has no derivative. But for any baseline b that does not depend on the sample y,
#     grad E[R(y)] = E[(R(y) - b) grad log pi(y | x)]     (the policy gradient theorem),
# so it is enough to make samples that beat the baseline likelier, and the others less likely, in proportion to R - b,
# the advantage. The baseline leaves the mean as it is and lowers the noise.

# How the algorithms weigh tokens unless --normalisation says otherwise.
NORMALISATION = {"grpo": "sequence", "rloo": "constant", "dr_grpo": "constant", "reinforce": "constant"}


def token_weights(mask: torch.Tensor, normalisation: str, max_new_tokens: int) -> torch.Tensor:
    """The weight of every token in the loss: [N, L] -> [N, L]. N samples, |o_i| tokens in the i-th.

    token     1 / sum_i |o_i|         every token the same (DAPO, arXiv 2503.14476, section 3.3)
    sequence  1 / (N |o_i|)           every sample the same: tokens of long samples count less (GRPO, eq. 3)
    constant  1 / (N max_new_tokens)  no length bias (Dr. GRPO, section 3.2): the policy gradient, up to a constant

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
    clip_high: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The clipped surrogate (PPO, arXiv 1707.06347, eq. 7; GRPO, eq. 3), with a penalty for moving from a reference.

    L = - sum_it w_it [min(r A, clip(r, 1 - c, 1 + c') A) - kl k3],  r = exp(logprob - old logprob),
    k3 = exp(d) - d - 1 with d = reference logprob - logprob (Schulman 2020, "Approximating KL divergence"): an unbiased
    estimate of KL(policy || reference); its gradient, on-policy, is that of KL(reference || policy).
    c' = c, or clip_high: a larger one lets rare tokens grow (DAPO, arXiv 2503.14476, section 3.1).

    logprobs, old_logprobs, reference_logprobs, weights [N, L]; advantages [N]. Weights are 0 outside the completion and
    carry the normalisation (token_weights), so losses of micro-batches add up to the loss of the batch.
    Returns the loss and, for the log, the weight of the tokens whose gradient the clip took away, and sum w k3.

    On-policy (old = new) the ratio is 1, the clip is inert, and the gradient is that of - sum w A logprob.
    """
    hidden = weights == 0  # a padded position may hold any number, and inf * 0 would be NaN
    ratio = (logprobs - old_logprobs).masked_fill(hidden, 0.0).exp()  # [N, L]
    advantages = advantages.unsqueeze(-1)  # [N, 1]: every token of a sample gets the sample's advantage
    clipped = ratio.clamp(1 - clip, 1 + (clip if clip_high is None else clip_high))
    objective = torch.minimum(ratio * advantages, clipped * advantages)  # no gain beyond the clip; the way back is free
    k3 = torch.zeros_like(weights)
    if kl:
        d = (reference_logprobs - logprobs).masked_fill(hidden, 0.0)
        k3 = d.exp() - d - 1
    cut = (clipped * advantages < ratio * advantages).float()
    return -(weights * (objective - kl * k3)).sum(), (weights * cut).sum(), (weights * k3.detach()).sum()


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


def evaluate(
    policy: Policy, problems: Sequence[Problem], sandbox: Sandbox, config: Config, seed: int, first: int = 0
) -> list[dict[str, Any]]:
    """Sample config.eval_samples completions of every problem and grade them: rows for summarize(), one a problem.
    Of a long list, evaluate_all takes a part at a time: `first` is the place of its first problem in the list."""
    places, problems = share(range(first, first + len(problems))), share(problems)
    rows = []
    if problems:
        settings = {"max_new_tokens": config.max_new_tokens, "temperature": config.eval_temperature}
        rollout = sample(policy, problems, config.eval_samples, seed=seed, places=places, **settings)
        rows = rollout_rows(problems, rollout, *grade(problems, rollout, sandbox))
    return gather(rows)


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """pass@k and the pass rate of every problem, from rows of evaluate. k is 1, 8, 64 and the number of samples, as
    far as there are so many."""
    groups = [row["outcomes"] for row in rows]  # [problem][sample][test]
    if len({len(group) for group in groups}) != 1:
        raise UsageError(f"the problems have groups of different sizes: {sorted({len(group) for group in groups})}")
    size, solved = len(groups[0]), [sum(all(passes) for passes in group) for group in groups]
    ks = sorted({k for k in (1, 8, 64, size) if k <= size})
    columns = {f"pass@{k}": np.array([pass_at_k(size, count, k) for count in solved]) for k in ks}
    return columns | {"pass_rate": np.array([np.mean([np.mean(passes) for passes in group]) for group in groups])}


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


# ----------------------------------------------------------------------------------------------------------------------
# 10. Training: sample -> grade -> reward -> advantage -> update, again and again


def setting(default: Any, help: str, commands: str = "train", group: str = "", alias: str = "", **limits: Any) -> Any:
    """A field of Config: its default, its line of --help, and which commands use it. group: a heading of --help, from
    here on. limits: at_least, above (numbers) or choices (names)."""
    metadata = {"help": help, "commands": commands.split(), "group": group, "alias": alias, "limits": limits}
    return field(default_factory=lambda: copy.copy(default), metadata=metadata)


BOTH = "train eval"  # the commands that use a setting
STYLES, PRECISIONS = ("auto", "chat", "completion", "verbatim"), ("auto", "float32", "bfloat16")
TOKEN_WEIGHTS = ("auto", "token", "sequence", "constant")


@dataclass
class Config:
    """The settings of a run. Every field is a flag of the command line: group_size is --group-size."""

    model: str = setting("toy", "toy, a model of the Hugging Face hub, a folder or a run", BOTH, "model")
    toy_noise: float = setting(0.5, "carelessness of the toy's base model: 0.35 strong, 0.7 very weak", BOTH)
    toy_seed: int = setting(0, "seed of the toy's base model; another one is another base", BOTH)
    prompt_style: str = setting("auto", "chat, completion, verbatim; auto: chat for chat models", BOTH, choices=STYLES)
    instruction: str = setting("", "asked in a chat instead of our words, after the problem or around {prompt}", BOTH)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ...", BOTH)
    precision: str = setting("auto", "float32 or bfloat16; auto: bfloat16 on a GPU", BOTH, choices=PRECISIONS)

    problems: str = setting("toy", "toy, or a file or URL; FILE#601-974 keeps these task numbers", BOTH, "problems")
    held_out: str = setting("", "file or URL to evaluate on; empty: the toy's test split, or a tenth of the problems")
    families: list[str] = setting(list(FAMILIES), "families of toy problems", BOTH)
    levels: list[int] = setting([1, 2, 3], "levels of toy problems: how many slots ask for something", BOTH)
    drop_broken: bool = setting(False, "leave out the problems whose own solution fails")
    min_pass: float = setting(0.0, "train on problems which the base model solves at least so often, from 0 to 1")
    max_pass: float = setting(1.0, "... and at most so often (pass@1 of --eval-samples samples)")

    problems_per_step: int = setting(12, "problems (groups) a step", group="sampling", at_least=1)
    group_size: int = setting(8, "samples a group", at_least=1)
    max_new_tokens: int | None = setting(None, "longest completion; default: 512, toy 32", BOTH, at_least=1)
    temperature: float = setting(1.0, "sampling temperature while training", above=0)
    batch_rows: int = setting(256, "most samples drawn at once in an evaluation", BOTH, at_least=1)

    algorithm: str = setting("grpo", "grpo, rloo, dr_grpo or reinforce", group="algorithm", choices=tuple(ADVANTAGES))
    reward: str = setting("binary", "binary, pass_rate, gated or hard_tests; or yours, FILE.py:function")
    clip: float = setting(0.2, "the importance ratio is clipped to 1 - clip .. 1 + clip_high", above=0)
    clip_high: float | None = setting(None, "a higher one lets rare tokens grow (DAPO); default: clip", above=0)
    normalisation: str = setting("auto", "token, sequence, constant; auto: the algorithm's own", choices=TOKEN_WEIGHTS)
    kl: float = setting(0.0, "weight of the KL penalty towards the base model", at_least=0)
    updates_per_batch: int = setting(1, "optimizer steps on each batch; from the second on, the clip acts", at_least=1)

    steps: int = setting(100, "training steps", group="optimiser", at_least=0)
    lr: float | None = setting(None, "learning rate of AdamW; default: 5e-4 for the toy, else 1e-6", at_least=0)
    warmup_steps: int = setting(5, "steps over which the learning rate rises linearly to lr", at_least=0)
    weight_decay: float = setting(0.0, "decoupled weight decay of AdamW", at_least=0)
    max_grad_norm: float = setting(1.0, "the gradient is scaled down to this norm", above=0)
    micro_batch_tokens: int = setting(16384, "tokens per backward pass: fewer need less memory", at_least=1)

    eval_every: int = setting(50, "steps between evaluations; 0: before and after", group="evaluation", at_least=0)
    eval_size: int = setting(100, "held-out problems at most (minirl eval: of a file, all)", BOTH, at_least=1)
    eval_samples: int = setting(8, "samples of each held-out problem", BOTH, alias="--samples", at_least=1)
    eval_temperature: float = setting(1.0, "sampling temperature of evaluations; 0: greedy", BOTH, at_least=0)

    seed: int = setting(0, "seed of everything random", BOTH, "run")
    out: str = setting("", "run folder (minirl eval: file) to write; empty: a new one below runs/ (none)", BOTH)
    resume: str = setting("", "run folder to continue, with its settings, up to --steps")
    save_every: int = setting(10, "steps between checkpoints", at_least=1)
    keep_best: bool = setting(False, "keep the weights with the best held-out pass@1 as checkpoint.best")

    workers: int = setting(0, "sandbox processes; 0: two a core", "train eval check", "sandbox", at_least=0)
    cpu_seconds: float = setting(2.0, "CPU time limit of a test without its own", "train eval check", above=0)
    memory_mb: int = setting(512, "memory limit of a program, 64 at least", "train eval check", at_least=64)

    def __post_init__(self):
        complete_and_check(self)


def problems_of_step(problems: Sequence[Problem], config: Config, step: int) -> list[Problem]:
    """The problems of a step (from 1): epoch after epoch, each in its own random order."""
    batch = []
    for drawn in range((step - 1) * config.problems_per_step, step * config.problems_per_step):  # problems before this
        epoch, i = divmod(drawn, len(problems))
        batch.append(problems[shuffled(len(problems), seed_of(config.seed, "order", epoch))[i]])
    return batch


@functools.lru_cache(maxsize=4)
def shuffled(count: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(count), count)


def seed_of(*parts: Any) -> int:
    """A 63-bit seed for one purpose at one step. Since every draw is seeded so, (config, step) is the whole random
    state of a run, and a resumed run draws what the uninterrupted one would have drawn."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def sample_step(policy: Policy, problems: Sequence[Problem], config: Config, step: int) -> Rollout:
    """sample(), for this process's share of the problems of a training step."""
    places = share(range(len(problems)))
    settings = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature}
    seed = seed_of(config.seed, "sample", step)
    return sample(policy, share(problems), config.group_size, seed=seed, places=places, **settings)


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    advantages: torch.Tensor,
    config: Config,
    reference: Policy | None = None,
) -> dict[str, float]:
    """config.updates_per_batch optimizer steps on a rollout with its advantages [P, G]; returns what the log shows.

    Samples whose advantage is 0 add nothing to the gradient, so without a KL penalty they are not even run. A batch of
    dead groups moves no weight: no step is taken, since Adam would take one by its momentum.
    """
    mask = rollout.completion_mask.flatten(0, 1)  # [N, L]
    normalisation = NORMALISATION[config.algorithm] if config.normalisation == "auto" else config.normalisation
    weights = token_weights(mask, normalisation, config.max_new_tokens)  # over all N: dead groups are counted, too
    copies = multiplicities(rollout, advantages)  # [P, G]: identical samples are run once, with all their weight
    weights = weights * copies.flatten().unsqueeze(-1)
    live = (copies > 0) & ((advantages != 0) | (reference is not None))  # [P, G]: the samples that are run
    old_logprobs, reference_logprobs = torch.zeros_like(weights), torch.zeros_like(weights)
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    stats = {"loss": 0.0, "clip_fraction": 0.0, "logprob_gap": 0.0, "kl": 0.0, "grad_norm": 0.0}
    for repeat in range(config.updates_per_batch if live.any() else 0):
        optimizer.zero_grad()
        totals = torch.zeros(4, device=policy.device)
        for part in micro_batches(rollout, live, config.micro_batch_tokens):  # indices into N
            batch = inputs_of(rollout, part)  # their prompts and completions; no wider than the longest of them
            here = part, slice(batch[2].shape[1])
            logprobs = token_logprobs(policy, *batch)  # [part, L]
            if repeat == 0:
                # The old policy is this one, in this very pass: so the ratio begins at exactly 1. rollout.logprobs, of
                # a sampler that may round otherwise (bfloat16), are only compared with these.
                old_logprobs[here] = logprobs.detach()
                if reference:
                    with torch.no_grad():
                        reference_logprobs[here] = token_logprobs(reference, *batch)
            old, w, ref = old_logprobs[here], weights[here], reference_logprobs[here]
            kl = config.kl if reference else 0.0
            these = advantages.flatten()[part]
            loss, cut, moved = policy_loss(logprobs, old, these, w, config.clip, ref, kl, config.clip_high)
            loss.backward()  # adds to the gradient: the losses of micro-batches add up to that of the batch
            gap = ((old - rollout.logprobs.flatten(0, 1)[here]).abs() * w).sum()  # not near 0: a wrong shift or mask
            totals += torch.stack([loss.detach(), cut, gap, moved])
        add_up_gradients(parameters, totals)
        grad_norm = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm).item()
        loss, *means = totals.tolist()
        means = [mean / weights[live.flatten()].sum().item() for mean in means]
        for name, value in zip(stats, (loss, *means, grad_norm), strict=True):
            stats[name] += value / config.updates_per_batch
        if not math.isfinite(grad_norm):  # it would break the weights for good; train ends with a sentence
            break
        optimizer.step()
        refresh_sampler(policy)
    return stats


def train(
    config: Config, sandbox: Sandbox | None = None, on_step: Callable[[dict[str, Any]], Any] = lambda metrics: None
) -> Path:
    """Train a policy by reinforcement learning; returns the run folder.

    The folder holds config.json, metrics.jsonl, rollouts/ and evaluations/ (completions and outcome matrices) and
    checkpoint/. With config.resume, continues that run after its last checkpoint, and ends up where an uninterrupted
    run would have. Raises UsageError for settings that cannot work, before anything is written.
    Several runs may share a sandbox, which is not closed. on_step is called, in every process, with a step's metrics.
    """
    reward, advantage = find_reward(config.reward), ADVANTAGES[config.algorithm]
    with open_run(config, sandbox, reward) as run:
        for step in range(run.done + 1, config.steps + 1):
            clock = [time.perf_counter()]
            problems = problems_of_step(run.problems, config, step)  # P problems
            rollout = sample_step(run.policy, problems, config, step)  # G completions of each
            clock.append(time.perf_counter())
            outcomes, mask = grade(share(problems), rollout, run.sandbox)
            rollout, outcomes, mask = whole_batch(rollout, outcomes, mask)  # [P, G, T]
            clock.append(time.perf_counter())
            rewards = reward(outcomes, mask, rollout)  # [P, G]
            advantages = advantage(rewards).to(run.policy.device)  # [P, G]
            for group in run.optimizer.param_groups:  # the learning rate rises linearly, then stays
                group["lr"] = config.lr * min(1.0, step / max(1, config.warmup_steps))
            stats = update(run.policy, run.optimizer, rollout, advantages, config, run.reference)
            clock.append(time.perf_counter())
            # Log, evaluate where it is time to, save.
            on_step(run.finish_step(step, problems, rollout, outcomes, mask, rewards, stats, clock))
    return run.folder


# ======================================================================================================================
# Part II: the workshop. What the lesson calls and need not know
# ======================================================================================================================

# ----------------------------------------------------------------------------------------------------------------------
# 11. Answers: how a prompt is put, the program in what is said, and when it is said. Called by Problem, Policy, sample


def read_prompt(policy: Policy, problem: Problem) -> list[int]:
    """The tokens of a problem's prompt, in the policy's prompt_style."""
    if policy.prompt_style == "chat":
        kind = "code" if problem.before_function is not None else "function" if problem.entry_point else "program"
        task = policy.instruction or INSTRUCTIONS[kind]
        task = task if "{prompt}" in task else "{prompt}\n\n" + task
        task = task.replace("{entry_point}", problem.entry_point or "").replace("{prompt}", problem.prompt.strip())
        settings = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        return policy.encode(policy.tokenizer.apply_chat_template([{"role": "user", "content": task}], **settings))
    text = problem.prompt
    if policy.prompt_style == "completion" and problem.before_function is None and not text.endswith("\n"):
        text = f'"""\n{text}\n"""\n'  # a task in words
    ids = policy.tokenizer(text)["input_ids"]  # may open with a token that begins every text
    return ids[:-1] if ids[-1:] == [policy.tokenizer.eos_token_id] and len(ids) > 1 else ids  # ... but not end it


# What a chat model is asked, for a prompt that is code, one that wants a function, and one that wants a program.
INSTRUCTIONS = {
    "code": "Complete this Python function. Answer with the whole function in one ```python block.\n\n"
    "```python\n{prompt}\n```",
    "function": "Answer with the Python function `{entry_point}` in one ```python block.",
    "program": "Read standard input and write to standard output. "
    "Answer with the whole Python program in one ```python block.",
}


def text_of(policy: Policy, prompt: list[int], ids: list[int]) -> str:
    """The text of a completion, without end tokens: decoded alone, it might lose the space that it begins with. A
    thought that the prompt has opened, as some chat templates do, is opened in the text, too."""
    ids, decode = prompt[-1:] + [token for token in ids if token not in policy.eos_ids], policy.tokenizer.decode
    thinks = "<think>" in decode(prompt[-20:]).rpartition("</think>")[2]
    return "<think>" * thinks + decode(ids, clean_up_tokenization_spaces=False)[len(decode(prompt[-1:])) :]


def have_answered(
    policy: Policy, problems: Sequence[Problem], prompts: list[list[int]], ids: torch.Tensor, rows: torch.Tensor, t: int
) -> torch.Tensor:
    """Which samples have said all that counts with their token t? ids [N, L], rows [samples] -> [samples] bool."""
    answered = torch.zeros_like(rows, dtype=torch.bool)
    if policy.prompt_style == "verbatim":  # nothing but an end token ends a sample
        return answered
    in_chat, group_size = policy.prompt_style == "chat", len(ids) // len(problems)
    tokens = ids[rows, t].tolist()
    ends = "`~" if in_chat else "\n"  # nothing else can end an answer
    marks = {token: bool(set(ends) & set(policy.tokenizer.decode([token]))) for token in set(tokens)}
    for i, (row, token) in enumerate(zip(rows.tolist(), tokens, strict=True)):
        if marks[token]:
            p = row // group_size
            text = text_of(policy, prompts[p], ids[row, : t + 1].tolist())
            answered[i] = has_answer(problems[p], text, in_chat)
    return answered


def definition_of(name: str, indent: str = "") -> re.Pattern:
    return re.compile(rf"^{indent}(?:async +)?def +{re.escape(name)}\b", re.MULTILINE)


def answer_of(completion: str) -> str:
    """What a model says when it has thought; nothing while it thinks."""
    said = completion.rpartition("</think>")[2]
    said = "" if "<think>" in said else said
    return said.rpartition("<answer>")[2].partition("</answer>")[0]


FENCE = re.compile(  # tag, code, end ("" where the block is not closed)
    r"""^[ \t]*(?P<mark>`{3,}|~{3,})(?:[ \t]*\n[ \t]*(?P=mark)(?=\w))?  # it opens; twice is once
        [ \t{.]*([^\s`}]*)[^\n`]*\n
        ((?:'{3}.*?'{3}|"{3}.*?"{3}|.)*?)  # in a long text of the code, nothing closes
        (^[ \t]*(?P=mark)[ \t]*$|\Z)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
STATEMENT = r"@|(?:async +)?def |class |import |from \S+ import |"
FIRST_LINE = re.compile(  # of a program, in the middle of prose
    rf"^(?:{STATEMENT}#!|\w[\w, ]* ?=[^=]|print\(|(?:for|while|if|with) .*:$|try:)", re.MULTILINE
)
LATER_LINE = re.compile(rf"{STATEMENT}[\s#)\]}}]|\w+(?:: ?[\w\[\], .|]+)? ?=[^=]|\Z")


def extract_code(problem: Problem, completion: str) -> str:
    """The program in an answer, which may be

      * what follows the prompt, where that opens the function, up to the first line that is none of a program's
      * fenced blocks: the last that defines the function or is a whole program, all of it, and the definitions and
        imports in blocks of their own
      * a program or a function with prose around it

    What the token limit has cut off goes, by whole statements. Imports and helpers of the prompt stay, and a method of
    a class Solution is made a function.
    """
    name, before, answer = problem.entry_point, problem.before_function, answer_of(completion)
    blocks = [(tag.lower(), code if end else code.partition("```")[0]) for _, tag, code, end in FENCE.findall(answer)]
    blocks = [block for block in blocks if block[0].startswith("py")] or [b for b in blocks if not b[0]] or blocks
    codes = [textwrap.dedent(code) for _, code in blocks if code.strip()]  # may stand in a list of steps
    defines = definition_of(name, "[ \t]*").search if name else is_program
    mains = [code for code in codes if defines(code)]
    if before is not None and not mains:
        if not re.match(r"(?:[ \t]*\n)*\S", answer) or not problem.prompt.endswith("\n"):  # it begins indented
            return problem.prompt + answer[: end_of_function(answer, 0)]
        if codes:
            return problem.prompt + textwrap.indent(codes[-1], "    ")
    if codes:
        main = (mains or codes)[-1]
        parts = [code for code in codes if code is main or (code not in mains and only_defines(code))]
        code = whole_statements("\n".join(parts), defines)
    else:
        first = FIRST_LINE.search(answer)
        code = whole_statements(answer[first.start() :] if first else answer, defines)
        if before is not None and not defines(code):
            return problem.prompt + code
    if name and re.search(r"^class Solution\b", f"{problem.prompt}\n{code}", re.MULTILINE):
        before = leetcode_names(code) + (before or "")
        if not definition_of(name).search(code):  # on LeetCode, every call has an instance of its own
            before += f"def {name}(*args, **kwargs):\n    return Solution().{name}(*args, **kwargs)\n"
    future = re.compile(r"^from __future__ import .*\n", re.MULTILINE)  # has to be the first
    return "".join(future.findall(code)) + (before or "") + future.sub("", code)


def parsed(code: str) -> ast.Module | None:
    """Its statements; None if it is no Python."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse(code)


def is_program(code: str) -> bool:
    """Does it do something? An example of what a program reads or writes is no Python, or calls nothing."""
    parts = [part for part in getattr(parsed(code), "body", []) if not isinstance(part, ast.FunctionDef | ast.ClassDef)]
    return any(isinstance(node, ast.Call) for part in parts for node in ast.walk(part))


def only_defines(code: str) -> bool:
    """Definitions, imports and constants, which a program in another block may need, and which cannot harm it."""
    line = re.compile(r"(?:async |def |class |import |from |[\s@#)\]}]|\w+ *=[^(]*$|$)")
    return parsed(code) is not None and all(map(line.match, code.splitlines()))


def whole_statements(code: str, holds_program: Callable[[str], Any]) -> str:
    """The longest beginning of the code, by whole statements, that is Python and holds the program: what the token
    limit has cut off goes, and prose. All of it where there is none."""
    starts = [line.start() for line in re.finditer(r"^(?![\s)\]}]|else|elif|except|finally)", code, re.MULTILINE)]
    parts = (code[:end] for end in [len(code), *reversed(starts)])
    return next((part for part in parts if parsed(part) and holds_program(part)), code)


# What a class Solution and functions beside it may use: the names that the judges of LeetCode's problems have.
LEETCODE_NAMES = "typing bisect collections copy functools heapq itertools json math operator random re string sys"


def leetcode_names(code: str) -> str:
    """They hide no builtin. Calls may be nested as deeply as judges allow."""
    modules = LEETCODE_NAMES.split()
    stars = [f"from {name} import *\n" for name in [*modules, "builtins"]]
    named = ["sys", *(name for name in modules if f"{name}." in code)]  # bisect.bisect, or bisect?
    return f"{''.join(stars)}import {', '.join(named)}\nsys.setrecursionlimit(50_000)\n"


def end_of_function(code: str, start: int, whole_lines: bool = False) -> int:
    """Where the first line after `start` begins that cannot belong to a function or its helpers; the end if none does.
    With whole_lines, a line that is still being written does not count."""
    for line in re.compile(r"^.*(\n|\Z)", re.MULTILINE).finditer(code, code.find("\n", start) + 1 or len(code)):
        if not LATER_LINE.match(line[0]) and (line[1] or not whole_lines):
            if not any(code.count(quotes, 0, line.start()) % 2 for quotes in ('"""', "'''")):  # in a long text
                return line.start()
    return len(code)


def has_answer(problem: Problem, completion: str, in_chat: bool) -> bool:
    """Has a completion said all that counts? In a chat, when the fence around the answer is closed; else when the
    function is followed by a line that does not belong to it."""
    name, opened, answer = problem.entry_point, problem.before_function is not None, answer_of(completion)
    defines = definition_of(name, "[ \t]*") if name else None
    if in_chat:
        blocks = FENCE.findall(answer)
        return any(end and (defines.search(code) if defines else tag.startswith("py")) for _, tag, code, end in blocks)
    start = 0 if opened else (match := defines.search(answer)) and match.end() if defines else None
    return start is not None and end_of_function(answer, start, whole_lines=True) < len(answer)


# ----------------------------------------------------------------------------------------------------------------------
# 12. Problem files: the formats of public benchmarks, told by their fields. Called by train, eval and check


def load_problems(source: str | os.PathLike) -> list[Problem]:
    """Read problems from a file or a URL (downloaded once). "FILE#601-974" keeps the tasks with these numbers.

    One JSON object a line, or one JSON list, may be compressed (.gz). The fields of an object tell its format: see the
    readers below. Problems without a test are left out and named. Raises UsageError naming file, line and field.
    """
    path, _, numbers = (str(source), "", "") if Path(source).exists() else str(source).partition("#")
    if numbers and not re.fullmatch(r"\d+-\d+", numbers):
        raise UsageError(f"after the # of {source} come the numbers of the first and last task, such as #601-974")
    first, last = map(int, numbers.split("-")) if numbers else (0, 0)
    problems, without_test, seen = [], [], {}
    for line, row in read_rows(path):
        try:
            task_id, prompt, tests, entry_point, *others = read_row(row, line)  # a Problem's fields
            if task_id in seen:
                raise UsageError(f"field 'task_id': {task_id!r} was used before, on line {seen[task_id]}")
            seen[task_id], digits = line, re.findall(r"\d+", task_id)
            if numbers and not digits:
                raise UsageError(f"the task {task_id!r} has no number, so #{numbers} cannot choose it")
            if numbers and not first <= int(digits[-1]) <= last:
                continue
            if tests:
                problems.append(Problem(task_id, prompt, tests, entry_point, *others))
                prepare(problems[-1].program(""))  # an error now, not in the middle of training
            else:
                without_test.append(task_id)
        except (UsageError, ValueError) as error:
            field_name = "" if isinstance(error, UsageError) else "field 'tests': "
            raise UsageError(f"{path}, line {line}: {field_name}{error}") from None
    if without_test:
        warn(f"{len(without_test)} problems of {source} have no test and are left out: {', '.join(without_test)}")
    if not problems:
        raise UsageError(f"the problem file {source} holds no problem{' with a test' * bool(without_test)}")
    return problems


def read_row(row: Any, number: int) -> tuple:
    """A row of any format -> the fields of a Problem."""
    if not isinstance(row, dict):
        raise UsageError(f"expected a JSON object, got {type(row).__name__}")
    reader = next((reader for field_name, reader in FORMATS.items() if field_name in row), None)
    if reader is None:
        known = "minirl, MBPP, HumanEval, EvalPlus, APPS, TACO, LiveCodeBench"
        raise UsageError(f"none of the formats {known}; it has the fields {', '.join(row)}")
    try:
        return reader(row, number)
    except UsageError:
        raise
    except Exception as error:  # a row that is not what its format promises fails in many ways
        raise UsageError(f"not as {reader.__name__[6:]} has it ({type(error).__name__}: {first_line(error)})") from None


def read_rows(path: str) -> Iterator[tuple[int, Any]]:
    """The JSON values of a file or URL, with their line numbers (or places in a list)."""
    file = download(path) if re.match(r"https?://", path) else Path(path)
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8-sig") as lines:
            is_list = lines.read(1) == "["
            lines.seek(0)
            if is_list:
                yield from enumerate(json.load(lines), 1)
                return
            for number, line in enumerate(lines, 1):
                try:
                    if line.strip():
                        yield number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise UsageError(f"{path}, line {number}: not a JSON object ({error})") from None
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, json.JSONDecodeError) as error:
        hint = "; save it as JSON lines first" if ".parquet" in path else ""
        hint += f"; delete {file} to download it again" if file != Path(path) else ""
        raise UsageError(f"cannot read the problem file {path}: {error}{hint}") from None


def download(url: str) -> Path:
    """The file of a URL, from the cache or downloaded."""
    name = re.sub(r"[^\w.-]+", "-", url.rpartition("/")[2].partition("?")[0]) or "problems"
    file = cache_folder() / "problems" / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file))
        except Exception as error:  # no network, no such page, no space, ...
            raise UsageError(f"cannot download {url}: {error}") from None
    return file


def _field(row: dict[str, Any], name: str, kind: Any = str, default: Any = ...) -> Any:
    value = row.get(name, default)
    if value is ...:
        raise UsageError(f"field '{name}' is missing")
    if not isinstance(value, kind) and value is not default:
        raise UsageError(f"field '{name}' must be a {'list' if kind is list else 'string'}, got {type(value).__name__}")
    return value


# Readers of the formats: a row and its number -> task id, prompt, tests, entry point, solution, limit of CPU time


def _read_minirl(row: dict[str, Any], number: int) -> tuple:
    """minirl's own format: {"task_id": "add", "prompt": "def add(a, b):\\n", "entry_point": "add", "tests": [{"args":
    [1, 2], "expected": 3}, {"assert": "add(0, 0) == 0"}]}; also solution, cpu_seconds, tests of {"stdin", "stdout"}."""
    task_id = str(_field(row, "task_id", (str, int)))
    tests = _field(row, "tests", list)
    try:
        tests = list(map(read_test, tests))
    except ValueError as error:
        raise UsageError(f"field 'tests': {error}") from None
    names = [_field(row, x, str, None) for x in ("entry_point", "solution")]
    return task_id, _field(row, "prompt"), tests, *names, row.get("cpu_seconds")


def _read_mbpp(row: dict[str, Any], number: int) -> tuple:
    """MBPP (test_setup_code), sanitized MBPP (test_imports), and MBPP+ of EvalPlus (test)."""
    code = _field(row, "code", str, "").replace("\r\n", "\n")
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or [])
    asserts = [text.replace("\r\n", "\n") for text in _field(row, "test_list", list)]
    called = [name for text in asserts[:1] for name in re.findall(r"(?<![.\w])(\w+)\s*\(", text)]
    defined = re.findall(r"^def\s+(\w+)", code, re.MULTILINE) or set(called) - {*dir(builtins), "assert", "not"}
    entry_point = next((name for name in called if name in defined), None)
    text = row.get("text") or _field(row, "prompt")
    prompt = "\n".join([text.strip(), "Your code must pass this test:", *asserts[:1]])
    tests = _listed_tests(row.get("test") or "", entry_point) if entry_point else None
    if row.get("test") and not tests:
        raise UsageError(f"field 'test': expected lists `inputs` and `results`, got {row['test']!r:.80}")
    tests = tests or [read_test({"assert": f"{setup}\n{text}"}) for text in asserts]
    return str(row.get("task_id", number)), prompt, tests, entry_point, code or None


def _read_humaneval(row: dict[str, Any], number: int) -> tuple:
    """HumanEval, and HumanEval+ of EvalPlus."""
    task_id, prompt, entry_point, test = (_field(row, name) for name in ("task_id", "prompt", "entry_point", "test"))
    tests = _listed_tests(test, entry_point) or split_test_function(test, entry_point)
    return task_id, prompt, tests, entry_point, row.get("canonical_solution")


PLAIN_ORACLE = re.compile(  # np.allclose is for floats; a Call has such a tolerance of its own
    r"def assertion\(out, exp, atol\):\n    exact_match = out == exp\n    if atol == 0 and is_floats\(exp\):\n.*\n"
    r"    if not exact_match and atol != 0:\n.*\bnp\..*\n    else:\n        assert exact_match\n"
)


def _listed_tests(code: str, entry_point: str) -> list[Call | Check] | None:
    """The tests of code that walks over `inputs` and mostly `results`, as EvalPlus has it (None for other code): Calls
    where it compares as they do; else, for each input, a Check that is the code with this input alone, and no numpy."""
    tree = ast.parse(re.sub(r"(assert )?np\.(testing\.assert_)?allclose\([^()]*\)", "assert exact_match", code))
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)]
    lists = {name: node for node in assigned if (name := getattr(node.targets[0], "id", "")) in ("inputs", "results")}
    if "inputs" not in lists:
        return None
    if PLAIN_ORACLE.search(ast.unparse(ast.parse(code))):
        with contextlib.suppress(KeyError, ValueError):  # no results, or not literal
            inputs, results = (ast.literal_eval(lists[name].value) for name in ("inputs", "results"))
            return [Call(tuple(args), result) for args, result in zip(inputs, results, strict=True)]
    tree.body = [node for node in tree.body if not ast.unparse(node).startswith(("import numpy", "from numpy"))]
    call = f"\ncheck({entry_point})" if definition_of("check").search(code) else ""
    tests = []
    for values in zip(*[node.value.elts for node in lists.values()], strict=True):
        for node, value in zip(lists.values(), values, strict=True):
            node.value = ast.List([value], ast.Load())
        tests.append(Check(f"candidate = {entry_point}\n{ast.unparse(tree)}{call}"))
    return tests


def _from_json(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) and text.strip() else text or None


def _with_numbers(value: Any) -> Any:
    """JSON turns the keys of a dict into texts: those of an argument become numbers again where all can."""
    if isinstance(value, list):
        return list(map(_with_numbers, value))
    if not isinstance(value, dict):
        return value
    numbers = all(re.fullmatch(r"-?\d+", key) for key in value)
    return {int(key) if numbers else key: _with_numbers(item) for key, item in value.items()}


def _read_apps(row: dict[str, Any], number: int) -> tuple:
    """APPS and TACO: standard input, or calls of fn_name."""
    spec, solutions = _from_json(row["input_output"]) or {}, _from_json(row.get("solutions")) or [None]
    pairs = list(zip(spec.get("inputs") or [], spec.get("outputs") or [], strict=True))
    entry_point = spec.get("fn_name")
    if entry_point:  # what is expected may be wrapped in a list of one
        wanted = [FromJson((out, *out) if isinstance(out, list) and len(out) == 1 else (out,)) for _, out in pairs]
        tests = [Call(tuple(map(_with_numbers, args)), out) for (args, _), out in zip(pairs, wanted, strict=True)]
    else:
        tests = [StdIO(*("\n".join(map(str, x)) if isinstance(x, list) else str(x) for x in pair)) for pair in pairs]
    prompt = "\n\n".join(filter(None, [_field(row, "question").strip(), (row.get("starter_code") or "").strip()]))
    task_id = next((str(row[name]) for name in ("problem_id", "task_id", "id") if name in row), str(number))
    limit = row.get("time_limit")  # "2 seconds", a number, or {"seconds": 2, "nanos": 0}
    if isinstance(limit, dict):
        limit = limit.get("seconds", 0) + limit.get("nanos", 0) / 1e9
    seconds = re.fullmatch(r"([\d.]+) *(s|sec|seconds?)?", str(limit))
    if limit and not seconds:
        raise UsageError(f"field 'time_limit': expected seconds, got {limit!r:.80}")
    return task_id, prompt, tests, entry_point, solutions[0], float(seconds[1]) if seconds else None


def _read_livecodebench(row: dict[str, Any], number: int) -> tuple:
    private = row.get("private_test_cases") or "[]"
    try:
        private = _from_json(private)
    except ValueError:  # packed: base64 of zlib of a pickled text, which is read here without unpickling anything
        pickled = pickletools.genops(zlib.decompress(base64.b64decode(private)))
        private = json.loads(next(text for _, text, _ in pickled if isinstance(text, str)))
    entry_point, tests = (_from_json(row.get("metadata")) or {}).get("func_name"), []
    for test in [*(_from_json(row["public_test_cases"]) or []), *private]:
        given, wanted = test["input"], test["output"]
        if test["testtype"] == "functional":
            args = tuple(_with_numbers(json.loads(line)) for line in given.splitlines())
            tests.append(Call(args, FromJson((json.loads(wanted),))))
        else:
            tests.append(StdIO(given, wanted))
    prompt, starter = _field(row, "question_content").strip(), (row.get("starter_code") or "").strip()
    prompt += f"\n\nYour program must start so:\n```python\n{starter}\n```" if starter else ""
    return str(row["question_id"]), prompt, tests, entry_point, None


FORMATS = {"tests": _read_minirl, "test_list": _read_mbpp, "test": _read_humaneval, "input_output": _read_apps}
FORMATS |= {"public_test_cases": _read_livecodebench}  # by a field that only this format has


def check_solutions(problems: Sequence[Problem], sandbox: Sandbox) -> dict[str, str]:
    """Run every reference solution. Returns, for each that does not pass all tests of its problem, the reason."""
    solved = [problem for problem in problems if problem.solution is not None]
    results = sandbox.map([problem.program(problem.solution) for problem in solved])
    reasons = {}
    for problem in progress_bar(solved, "running the reference solutions"):
        result = next(results)
        failed = [i for i, verdict in enumerate(result.verdicts) if verdict != Verdict.passed]
        if failed:
            mix = ", ".join(f"{n} {verdict}" for verdict, n in collections.Counter(result.verdicts).most_common())
            detail = f" ({result.details[failed[0]]:.150})" if result.details[failed[0]] else ""
            reasons[problem.task_id] = f"{mix}; test {failed[0] + 1}: {result.verdicts[failed[0]]}{detail}"
    return reasons


# ----------------------------------------------------------------------------------------------------------------------
# 13. Models: of a hub, a folder or a run, and the toy's base model. Called by train and eval, through load_policy


def load_policy(name: str, **settings: Any) -> Policy:
    """Load a policy: "toy", a model id of the Hugging Face hub, a directory written by save_pretrained or a run folder.
    The settings are Config's: device (here the CPU unless given), precision, prompt_style, instruction, toy_noise and
    toy_seed. Raises UsageError where there is no such model, or no such device."""
    return policy_of(Config(model=name, **{"device": "cpu", **settings}), name)


def policy_of(config: Config, name: str) -> Policy:
    """The policy of that name, as a run with these settings wants it. prompt_style auto: chat for a tokenizer with a
    chat template, verbatim for the toy, which has learnt to end what it writes, else completion."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    device, precision, prompt_style = config.device, config.precision, config.prompt_style
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"cannot use the device {device!r} here: {first_line(error)}") from None
    model, tokenizer = toy_base(config.toy_noise, config.toy_seed) if name == "toy" else pretrained(name)
    if precision == "auto":
        precision = "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
    if world_size() > 1:  # all processes get the weights of the first one: another machine may round otherwise
        for parameter in model.to(device).parameters():
            dist.broadcast(parameter.data, 0)
    policy = make_policy(model.to(device), tokenizer, getattr(torch, precision))
    if prompt_style == "chat" and not tokenizer.chat_template:
        raise UsageError(f"the model {name!r} has no chat template; choose --prompt-style completion")
    style = "chat" if tokenizer.chat_template else "verbatim" if is_toy(name) else "completion"
    policy.prompt_style = style if prompt_style == "auto" else prompt_style
    if config.instruction and policy.prompt_style != "chat":
        raise UsageError(f"an instruction is for chat models; the prompt style of {name!r} is {policy.prompt_style}")
    policy.instruction = config.instruction
    if (precision, policy.device.type) == ("bfloat16", "cpu") and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        warn("this CPU has no bfloat16 of its own, so --precision float32 is faster")
    return policy


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
    policy = Policy(model.eval(), tokenizer, tuple(sorted(eos_ids)), pad_id, context, precision=precision)
    if not reads_padded_rows(policy):
        raise UsageError(f"a {type(model).__name__} cannot be used: it does not read padded rows as newer models do")
    if precision != torch.float32:
        policy.sampler = copy.deepcopy(policy.model)
        for parameter in policy.sampler.parameters():  # not the frequencies of rotary positions: they would be wrong
            parameter.data = parameter.data.to(precision)
            parameter.requires_grad = False
    return policy


@torch.no_grad()
def reads_padded_rows(policy: Policy) -> bool:
    """Does a token written after padded prompts get the logits that it gets alone? Some old architectures mind neither
    position ids nor masks such as the decoder's; their samples would be wrong without a word."""
    numbers = [i % policy.model.config.get_text_config().vocab_size for i in range(11)]
    prompts, tokens = [numbers[:6], numbers[6:9]], numbers[9:]
    decoder, both = Decoder(policy.model), torch.ones(2, dtype=torch.bool, device=policy.device)
    try:
        decoder.start(*policy.pad(prompts, side="left"), group_size=1)
        together = decoder.step(torch.tensor(tokens, device=policy.device), both)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError):
        return False
    rows = [torch.tensor([[*p, token]], device=policy.device) for p, token in zip(prompts, tokens, strict=True)]
    alone = torch.cat([policy.model(row, use_cache=False).logits[:, -1] for row in rows])
    return bool((together - alone).abs().max() <= 0.05 * alone.std() + 1e-4)


@torch.no_grad()
def refresh_sampler(policy: Policy) -> None:
    """Copy the weights to the sampler."""
    if policy.sampler:
        for copied, parameter in zip(policy.sampler.parameters(), policy.model.parameters(), strict=True):
            copied.copy_(parameter)


def pretrained(name: str) -> tuple[Any, Any]:
    """Model and tokenizer of a directory, a run folder or a model id, with weights in float32."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(name)
    folder = find_checkpoint(path) or path
    if not path.exists() and not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name):  # no name of a hub, either
        raise UsageError(f"cannot load the model {name!r}: there is no such folder or file")
    try:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers raises many kinds
        where = "" if path.exists() else "there is no such folder, and on the hub: "
        raise UsageError(f"cannot load the model {name!r}: {where}{first_line(error)}") from None


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


# The toy's base model is warm-started on careless solutions, as a real base model has read buggy code.
TOY_VOCABULARY = 512
TOY_MODEL = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
TOY_MODEL |= {"vocab_size": TOY_VOCABULARY, "max_position_embeddings": 128, "tie_word_embeddings": True}
WARM_STEPS, WARM_BATCH, WARM_LR = 500, 32, 3e-3


def toy_tokenizer(problems: Sequence[ToyProblem]) -> Any:
    """A byte-level BPE tokenizer of 512 tokens: about 20 tokens a prompt, 20 a solution."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = {"special_tokens": ["<pad>", "<eos>"], "initial_alphabet": sorted(pre_tokenizers.ByteLevel.alphabet())}
    trainer = trainers.BpeTrainer(vocab_size=TOY_VOCABULARY, show_progress=False, **alphabet)
    tokenizer.train_from_iterator((text for p in problems for text in (p.prompt, p.solution)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def warm_start(noise: float, seed: int) -> tuple[Any, Any]:
    """Train the toy's base model from scratch, by cross-entropy on careless solutions of the training problems."""
    from transformers import LlamaConfig, LlamaForCausalLM

    problems = toy_problems("train")
    tokenizer = toy_tokenizer(problems)
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**TOY_MODEL, **ids))
    policy = make_policy(model, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=WARM_LR, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, WARM_LR, WARM_STEPS, pct_start=0.1)
    rng = random.Random(seed)
    for _ in progress_bar(range(WARM_STEPS), "warm-starting the toy's base model (once)"):
        batch = rng.choices(problems, k=WARM_BATCH)
        prompts = policy.pad([policy.encode(problem.prompt) for problem in batch], side="left")
        solutions = [policy.encode(toy_mistakes(rng, problem, noise)) for problem in batch]
        completions = policy.pad([ids + [tokenizer.eos_token_id] for ids in solutions], side="right")
        logprobs = token_logprobs(policy, *prompts, *completions)
        loss = -(logprobs * completions[1]).sum() / completions[1].sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model, tokenizer


def toy_base(noise: float, seed: int) -> tuple[Any, Any]:
    """The toy's base model from the cache, or made anew (a minute on two cores) and kept in a folder whose name is
    a digest of everything that determines the weights: a changed recipe finds no stale model."""
    import transformers

    if not 0 <= noise <= 1:
        raise UsageError(f"toy_noise is a probability, from 0 to 1, got {noise}")
    recipe = [noise, seed, TOY_MODEL, WARM_STEPS, WARM_BATCH, WARM_LR, torch.__version__, transformers.__version__]
    recipe += [FORGETFUL, *map(asdict, FAMILIES.values()), *((p.prompt, p.slots) for p in toy_problems("train"))]
    recipe += map(inspect.getsource, (toy_mistakes, toy_completion, toy_tokenizer, warm_start, token_logprobs))
    folder = cache_folder() / f"toy-{noise:g}-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}"
    if folder.exists():
        return pretrained(str(folder))
    model, tokenizer = warm_start(noise, seed)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:  # whole or not at all
            made = Path(scratch) / "toy"
            model.save_pretrained(made)
            tokenizer.save_pretrained(made)
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    except OSError as error:
        warn(f"the base model could not be cached in {folder} ({error})")
    return model, tokenizer


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minirl"


def is_toy(model: str) -> bool:
    """Is a model the toy, or one that was trained from it?"""
    folder = Path(model).parent if Path(model).name in ("checkpoint", "checkpoint.best") else Path(model)
    try:
        return model == "toy" or is_toy(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


# ----------------------------------------------------------------------------------------------------------------------
# 14. Decoder: writes one token at a time for many samples, over keys and values that are kept. Called by sample


@functools.cache
def cache_name(architecture: type) -> str:
    """Under which name a model takes its keys and values: newer versions of transformers have changed it."""
    return "cache" if "cache" in inspect.signature(architecture.forward).parameters else "past_key_values"


class Decoder:
    """Runs a model one token at a time. start() reads the prompts; step() takes the next token of every sample that
    goes on, and returns the logits of the one after it.

    Samples that have written the same so far share a row of the batch. So it begins with a row a prompt, grows where
    samples part, and shrinks as they end.
    """

    def __init__(self, model: Any):
        self.model = model

    def start(self, prompt_ids: torch.Tensor, prompt_mask: torch.Tensor, group_size: int) -> torch.Tensor:
        """Read every prompt [P, prompt tokens] once, for all its samples: logits of their first tokens, [N, V]."""
        from transformers import DynamicCache

        samples = torch.arange(len(prompt_ids) * group_size, device=prompt_ids.device)
        self.row_of = samples // group_size  # [samples]: the row of each sample that goes on
        self.cache, self.mask = DynamicCache(), prompt_mask
        return self.run(prompt_ids, positions_of(prompt_mask))

    def step(self, tokens: torch.Tensor, goes_on: torch.Tensor) -> torch.Tensor:
        """One more token of every sample that goes on ([all samples so far] bool): [samples] -> logits [samples, V]."""
        row_of = self.row_of[goes_on]
        width = int(tokens.max()) + 1
        branches, self.row_of = torch.unique(row_of * width + tokens, return_inverse=True)  # pairs of row and token
        parents, tokens = branches // width, branches % width
        if len(parents) != len(self.mask) or not parents.equal(torch.arange(len(parents), device=parents.device)):
            self.cache.batch_select_indices(parents)  # copies all keys and values: only where rows part or end
        self.mask = torch.cat([self.mask[parents], torch.ones_like(parents, dtype=torch.bool).unsqueeze(-1)], dim=1)
        return self.run(tokens.unsqueeze(-1), positions_of(self.mask)[:, -1:])

    def run(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        inputs = {"attention_mask": self.mask, "position_ids": positions, cache_name(type(self.model)): self.cache}
        return self.model(ids, use_cache=True, logits_to_keep=1, **inputs).logits[:, -1][self.row_of]


# ----------------------------------------------------------------------------------------------------------------------
# 15. Passes of the update: prompts and identical samples once, a batch in parts. Called by token_logprobs and update


def positions_of(mask: torch.Tensor) -> torch.Tensor:
    """Position ids that count real tokens only, so that padding moves nothing: [rows, tokens] -> the same."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def completion_logits(
    policy: Policy,
    prompt_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
    prompt_of: torch.Tensor | None,
) -> torch.Tensor:
    """Logits [N, L, V] at the last prompt token and at all completion tokens but the last, in the policy's precision.
    With prompt_of, a prompt is run once for all its completions, which attend to its keys and values."""
    from transformers import DynamicCache

    mask = torch.cat([prompt_mask if prompt_of is None else prompt_mask[prompt_of], completion_mask[:, :-1]], dim=1)
    positions, length, cache = positions_of(mask), completion_ids.shape[1], None

    def run(ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, keep: int) -> torch.Tensor:
        inputs = {"attention_mask": mask, "position_ids": positions, cache_name(type(policy.model)): cache}
        return policy.model(ids, use_cache=cache is not None, logits_to_keep=keep, **inputs).logits

    with torch.autocast(policy.device.type, policy.precision, enabled=policy.precision != torch.float32):
        if prompt_of is None:
            return run(torch.cat([prompt_ids, completion_ids[:, :-1]], dim=1), mask, positions, length)
        cache = DynamicCache()
        first = run(prompt_ids, prompt_mask, positions_of(prompt_mask), 1)[prompt_of]
        if length == 1:
            return first
        cache.batch_select_indices(prompt_of)
        rest = run(completion_ids[:, :-1], mask, positions[:, prompt_ids.shape[1] :], length - 1)
        return torch.cat([first, rest], dim=1)


def multiplicities(rollout: Rollout, advantages: torch.Tensor) -> torch.Tensor:
    """How many samples of its group are identical to each sample, itself included; 0 for all but the first of them.
    [P, G] -> [P, G]. A policy that has learnt something repeats itself; one sample with that weight does as well."""
    copies, first = torch.zeros(advantages.shape), {}
    ids = rollout.completion_ids.masked_fill(~rollout.completion_mask, -1).tolist()
    values = advantages.tolist()
    for p, g in np.ndindex(advantages.shape):
        copies[first.setdefault((p, values[p][g], *ids[p][g]), (p, g))] += 1
    return copies.to(advantages.device)


def inputs_of(rollout: Rollout, part: torch.Tensor) -> list[Any]:
    """What token_logprobs takes for some of the N samples: each of their prompts once, completions trimmed to the
    longest of them."""
    size, length = rollout.completion_ids.shape[1:]
    groups, prompt_of = torch.unique(part // size, return_inverse=True)
    ids, mask = (x.flatten(0, 1)[part] for x in (rollout.completion_ids, rollout.completion_mask))
    width = max(1, int(mask.sum(-1).max()))
    prompts = [rollout.prompt_ids[groups], rollout.prompt_mask[groups]]
    return [*prompts, ids[:, :width], mask[:, :width], rollout.temperature, prompt_of]


def micro_batches(rollout: Rollout, live: torch.Tensor, budget: int) -> Sequence[torch.Tensor]:
    """Parts of this process's live samples [P, G] with at most `budget` tokens each (but at least one sample): indices
    into the N samples. The gradients of the parts add up to that of the whole."""
    mine = torch.zeros_like(live)
    groups = share(live.any(-1).nonzero().squeeze(-1))  # live groups are dealt out to the processes
    mine[groups] = live[groups]
    longest = rollout.prompt_ids.shape[1] + rollout.completion_ids.shape[2]
    rows = mine.flatten().nonzero().squeeze(-1)
    return rows.split(max(1, budget // longest)) if len(rows) else ()


# ----------------------------------------------------------------------------------------------------------------------
# 16. Several processes: torchrun starts them, each takes its share of a batch. Called by evaluate, update and train

# Process r of W samples and grades the problems at the places r, r + W, r + 2 W, ... of a batch. Then all know the
# whole batch, and each adds up the gradient of its share of the live groups. In one process, all of it does nothing.


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def share(items: Sequence[Any]) -> Sequence[Any]:
    """What falls to this process."""
    return items[rank() :: world_size()]


def gather(items: list[Any]) -> list[Any]:
    """The items of all processes in the order of the batch: share() undone."""
    if world_size() == 1:
        return items
    parts: list[list[Any]] = [[] for _ in range(world_size())]
    dist.all_gather_object(parts, items)
    return [part[i] for i in range(max(map(len, parts))) for part in parts if i < len(part)]


def from_first(make: Callable[[], Any]) -> Any:
    """What the first process makes, for all of them."""
    return gather([make() if rank() == 0 else None])[0]


def whole_batch(
    rollout: Rollout, outcomes: torch.Tensor, mask: torch.Tensor
) -> tuple[Rollout, torch.Tensor, torch.Tensor]:
    """The whole batch, out of every process's graded share of it."""
    if world_size() == 1:
        return rollout, outcomes, mask
    names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "logprobs", "entropy", "cut_off")
    tensors = [*(getattr(rollout, name).cpu() for name in names), outcomes, mask]
    texts = ("completions", "programs", "verdicts", "details")
    groups = gather(list(zip(*tensors, *(getattr(rollout, name) for name in texts), strict=True)))
    columns = list(zip(*groups, strict=True))
    whole = []
    for i, column in enumerate(columns[: len(tensors)]):  # the widths of the shares differ: prompts are padded left
        width = max(tensor.shape[-1] for tensor in column)
        gaps = [width - tensor.shape[-1] for tensor in column]
        whole.append(torch.stack([F.pad(t, (n, 0) if i < 2 else (0, n)) for t, n in zip(column, gaps, strict=True)]))
    fields = dict(zip(texts, map(list, columns[len(tensors) :]), strict=True))
    fields |= {name: tensor.to(rollout.prompt_ids.device) for name, tensor in zip(names, whole, strict=False)}
    return replace(rollout, **fields), whole[-2], whole[-1]


def add_up_gradients(parameters: Sequence[torch.Tensor], totals: torch.Tensor) -> None:
    """Add up the gradients, and the totals, over all processes, in place."""
    for parameter in parameters:
        if parameter.grad is None:  # a process without a share of its own
            parameter.grad = torch.zeros_like(parameter)
    if world_size() > 1:
        tensors = [totals, *(parameter.grad for parameter in parameters)]
        for tensor in tensors:
            dist.all_reduce(tensor)


def join_processes(config: Config) -> None:
    """Meet the other processes of torchrun, if it started this one, and take the device of one's own."""
    if os.getloadavg()[0] > 1.5 * count_cores() and "OMP_NUM_THREADS" not in os.environ:
        warn("other programs keep this machine busy; with OMP_NUM_THREADS=1 before the command they slow it less")
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1 or dist.is_initialized():
        return
    if (count := config.problems_per_step) < world:
        raise UsageError(f"problems_per_step must be at least the number of processes, {world}, got {count}")
    if config.device.startswith(("auto", "cuda")) and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        config.device = f"cuda:{os.environ['LOCAL_RANK']}"
    dist.init_process_group("cpu:gloo,cuda:nccl" if config.device.startswith("cuda") else "gloo")


def open_sandbox(config: Config) -> Sandbox:
    """The sandbox that the settings ask for: two workers a core, since a program waits for the kernel about half of its
    time. Processes on one machine share its cores."""
    workers = config.workers or max(1, 2 * count_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    return Sandbox(workers, config.cpu_seconds, config.memory_mb)


def warn(words: str) -> None:
    """One line on stderr, from one process for all."""
    if rank() == 0:
        print(f"minirl: {words}", file=sys.stderr)


def progress_bar(items: Any, words: str = "", at_least: int = 0, **settings: Any) -> tqdm:
    """A bar of one process for all. Where it is shown, tqdm's own TQDM_DISABLE still switches it off."""
    hidden = rank() != 0 or (items is not None and len(items) < at_least)
    settings |= {"desc": words, "leave": not at_least, "dynamic_ncols": True}
    return tqdm(items, **settings, **({"disable": True} if hidden else {}))


# ----------------------------------------------------------------------------------------------------------------------
# 17. Run folder: what a run needs and what it leaves, whole or not at all, and how it is resumed. Called by train


@dataclass
class Run:
    """What a training run holds while it goes on; `done` steps lie behind it."""

    config: Config
    folder: Path
    policy: Policy
    reference: Policy | None
    optimizer: torch.optim.Optimizer
    sandbox: Sandbox
    problems: list[Problem]
    held_out: list[Problem]
    done: int
    bar: tqdm

    def evaluate(self, step: int) -> dict[str, float]:
        """Held-out results, as metrics."""
        self.bar.set_description(f"evaluating on {len(self.held_out)} held-out problems")
        seed = seed_of(self.config.seed, "eval", step)
        rows = evaluate_all(self.policy, self.held_out, self.sandbox, self.config, seed)
        write_jsonl(self.folder / "evaluations" / f"step_{step:06d}.jsonl", rows)
        self.bar.set_description(f"{self.config.algorithm} {self.config.reward}")
        return {f"eval/{name}": value for name, value in summarize(rows).items()}

    def finish_step(self, step: int, problems: list[Problem], rollout: Rollout, *given: Any) -> dict[str, Any]:
        """Write what a step has brought, evaluate and save where it is time to; returns the metrics. Given are also its
        outcomes and mask [P, G, T], rewards [P, G], update's stats, and the times around its parts."""
        outcomes, mask, rewards, stats, times = given
        seconds = dict(zip(("sample", "grade", "update"), np.diff(times).tolist(), strict=True))
        config, log = self.config, self.folder / "metrics.jsonl"
        rows, lengths = rollout_rows(problems, rollout, outcomes, mask), rollout.completion_mask.sum(-1).float()
        rows = [row | {"rewards": group} for row, group in zip(rows, rewards.tolist(), strict=True)]
        row = {
            "step": step,
            "reward": float(rewards.mean()),
            "reward_std": float(rewards.std(-1, correction=0).mean()),  # within groups
            "pass_rate": float(pass_rate(outcomes, mask).mean()),
            "full_pass": float(binary(outcomes, mask).mean()),
            "dead_groups": float(is_dead(rewards).float().mean()),
            "verdicts": verdict_mix(rows),
            "sandbox_errors": sum(v == Verdict.sandbox_error for g in rollout.verdicts for s in g for v in s),
            **stats,
            "lr": self.optimizer.param_groups[0]["lr"],
            "entropy": float(rollout.entropy[rollout.completion_mask].mean()),
            "tokens": int(lengths.sum()),
            "length": float(lengths.mean()),
            "longest": int(lengths.max()),
            "cut_off": float(rollout.cut_off.float().mean()),
            "seconds": seconds,
        }
        if not math.isfinite(row["grad_norm"]):
            raise UsageError(f"the gradient is not finite at step {step}, so the run ends here; try a lower lr")
        write_jsonl(self.folder / "rollouts" / f"step_{step:06d}.jsonl", rows)
        if step == config.steps or (config.eval_every and step % config.eval_every == 0):
            row |= self.evaluate(step)
            before = [old["eval/pass@1"] for old in read_jsonl(log) if old["step"] and "eval/pass@1" in old]
            if config.keep_best and row["eval/pass@1"] > max(before, default=-1):
                self.save(step, "checkpoint.best")
        append_jsonl(log, row)
        if step == config.steps or step % config.save_every == 0:
            self.save(step)
        shown = {name: f"{row[name]:.2f}" for name in ("full_pass", "pass_rate", "dead_groups")}
        shown |= {"SANDBOX_ERRORS": row["sandbox_errors"]} if row["sandbox_errors"] else {}
        shown |= {"cut off by --max-new-tokens": f"{row['cut_off']:.0%}"} if row["cut_off"] > 0.5 else {}
        self.bar.set_postfix(shown)
        self.bar.update()
        return row

    def save(self, step: int, name: str = "checkpoint") -> None:
        """Write folder/checkpoint. At every moment either it or checkpoint.old is whole, so a killed run can go on."""
        if rank() != 0:
            return
        new, current, old = (self.folder / f"{name}{end}" for end in (".new", "", ".old"))
        shutil.rmtree(new, ignore_errors=True)
        try:
            with writing(current):
                self.policy.model.save_pretrained(new)
                self.policy.tokenizer.save_pretrained(new)
                torch.save({"step": step, "optimizer": self.optimizer.state_dict()}, new / "trainer.pt")
                if current.exists():
                    shutil.rmtree(old, ignore_errors=True)
                    current.rename(old)
                new.rename(current)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def evaluate_all(
    policy: Policy, problems: Sequence[Problem], sandbox: Sandbox, config: Config, seed: int, file: str = ""
) -> list[dict[str, Any]]:
    """evaluate(), config.batch_rows samples at a time, with a bar. Each row says under which settings it was measured.
    With a file, rows are appended to it as they come, and those that it has are not measured again."""
    names = [x.name for x in fields(config) if "eval" in x.metadata["commands"] and x.name not in FREE_IN_EVALUATION]
    settings = {name: getattr(config, name) for name in names} | {"prompt_style": policy.prompt_style, "seed": seed}
    settings |= {"minirl": __version__} | {x: importlib.metadata.version(x) for x in ("torch", "transformers")}
    rows, path = [], Path(file)
    if file and path.exists():
        rows = from_first(lambda: read_jsonl(path) if path.is_file() else [])
        found = [(row.get("task_id"), row.get("settings")) for row in rows if isinstance(row, dict)]
        if found != [(x.task_id, settings) for x in problems[: len(rows)]] or not 0 < len(rows) < len(problems):
            raise UsageError(f"{file} is no evaluation with these settings that could go on; choose another --out")
        write_jsonl(path, rows)  # without a line that was cut off
    if not problems:
        raise UsageError("no problem is left to evaluate")
    at_once = max(1, config.batch_rows // config.eval_samples)  # problems
    with progress_bar(range(len(rows), len(problems)), "evaluating", at_least=5 * at_once, unit="problem") as bar:
        while len(rows) < len(problems):
            part = problems[len(rows) : len(rows) + at_once]
            new = [row | {"settings": settings} for row in evaluate(policy, part, sandbox, config, seed, len(rows))]
            for row in new if file else []:
                append_jsonl(path, row)
            rows += new
            bar.update(len(new))
    return rows


@contextlib.contextmanager
def open_run(config: Config, sandbox: Sandbox | None, reward: Callable[..., torch.Tensor]) -> Iterator[Run]:
    """Everything that train needs, and a run folder that says so: a new one, or that of config.resume."""
    join_processes(config)
    problems, held_out = training_problems(config)
    folder = Path(config.resume) if config.resume else None
    checkpoint = find_checkpoint(folder) if folder else None
    for name, value in asdict(saved_config(folder) if folder else config).items():
        if name not in FREE_ON_RESUME and value != getattr(config, name):
            raise UsageError(f"the run in {folder} was made with {name} {value!r}, not {getattr(config, name)!r}")
    source, kept = source_of(reward), folder / "reward.py" if folder else None
    if kept and kept.exists() and kept.read_text(encoding="utf-8") != source:
        raise UsageError(f"the reward {config.reward} has changed; it was {kept}: put it back, or start a new run")
    policy = policy_of(config, str(checkpoint or config.model))
    reference = policy_of(config, config.model) if config.kl else None  # scores only
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    done = load_trainer_state(checkpoint, optimizer) if checkpoint else 0
    if done > config.steps:
        raise UsageError(f"the run in {folder} has done {done} steps already; choose more --steps than {config.steps}")
    problems, held_out = (those_that_fit(policy, part, config) for part in (problems, held_out))
    with contextlib.nullcontext(sandbox) if sandbox else open_sandbox(config) as sandbox:
        trial = sample(policy, problems[:1], config.group_size, max_new_tokens=1, seed=0)
        _, mask = grade(problems[:1], trial, sandbox)
        passes = torch.linspace(0, mask.shape[-1], config.group_size).unsqueeze(-1)  # made up: none, some, all
        reward(mask & (torch.arange(mask.shape[-1]) < passes), mask, trial)  # if it fails, nothing is written
        folder = from_first(lambda: folder or new_run_folder(config))
        saved = {name: value for name, value in asdict(config).items() if name not in ("resume", "out")}
        write_text(folder / "config.json", json.dumps(saved, indent=2))
        write_text(folder / "reward.py", source)
        log = folder / "metrics.jsonl"
        rows = from_first(lambda: [row for row in read_jsonl(log) if row["step"] <= done])
        write_jsonl(log, rows)  # what came after the checkpoint is done again
        problems = choose_problems(problems, policy, sandbox, config, folder)
        if config.problems_per_step > len(problems):
            warn(f"there are {len(problems)} problems, so some come twice in a step of {config.problems_per_step}")
        with progress_bar(None, total=config.steps, initial=done, unit="step") as bar:
            run = Run(config, folder, policy, reference, optimizer, sandbox, problems, held_out, done, bar)
            if not rows:
                append_jsonl(log, {"step": 0} | run.evaluate(0))
            yield run
    gather([None])  # whoever returns finds everything written


# Settings that a resumed run, or evaluation, may change: they do not change what it computes, but for rounding.
FREE_ON_RESUME = {"steps", "eval_every", "save_every", "device", "workers", "out", "resume", "micro_batch_tokens"}
FREE_ON_RESUME |= {"keep_best"}
FREE_IN_EVALUATION = {"device", "workers", "out", "batch_rows", "eval_size"}


def training_problems(config: Config) -> tuple[list[Problem], list[Problem]]:
    """The problems to train on, before any choice by their solutions or by the policy, and those to evaluate on."""
    if config.problems == "toy":
        problems, held_out = (toy_problems(split, config.families, config.levels) for split in ("train", "test"))
    else:
        problems = load_problems(config.problems)
        order = shuffled(len(problems), 0)
        held_out = [problems[i] for i in order[: max(1, len(problems) // 10)]]
        if not config.held_out and len(problems) > 1:
            problems = [problems[i] for i in sorted(order[len(held_out) :])]
    if config.held_out:
        held_out = load_problems(config.held_out)
        if config.held_out == config.problems:
            warn("held_out is the file to train on, so evaluations do not show what is learnt for other problems")
    if not problems or not held_out:
        raise UsageError(f"no toy problem is left for families {config.families} and levels {config.levels}")
    return problems, held_out[: config.eval_size]


def those_that_fit(policy: Policy, problems: list[Problem], config: Config) -> list[Problem]:
    """The problems whose prompt leaves room for a completion in the model's context."""
    room = policy.context - config.max_new_tokens
    fits = [1 <= len(policy.prompt_ids(problem)) <= room for problem in problems]
    if not any(fits):
        fitting_prompts(policy, problems, config.max_new_tokens)  # says so
    if left_out := [problem.task_id for problem, fit in zip(problems, fits, strict=True) if not fit]:
        warn(f"{len(left_out)} problems, with prompts of over {room} tokens, are left out: {', '.join(left_out)}")
    return list(itertools.compress(problems, fits))


def choose_problems(
    problems: list[Problem], policy: Policy, sandbox: Sandbox, config: Config, folder: Path
) -> list[Problem]:
    """The problems whose own solution passes (drop_broken), and of those the ones that the base model solves neither
    too rarely nor too often (min_pass, max_pass). The run folder keeps their task ids, for the run to be resumed."""
    by_rate = config.min_pass > 0 or config.max_pass < 1
    if not (config.drop_broken or by_rate):
        return problems
    file = folder / "problems.json"
    names = from_first(lambda: json.loads(file.read_text()) if file.exists() else None)
    if names is not None:
        return [problem for problem in problems if problem.task_id in set(names)]
    broken = from_first(lambda: check_solutions(problems, sandbox)) if config.drop_broken else {}
    chosen = [problem for problem in problems if problem.task_id not in broken]
    if chosen and by_rate:
        rows = evaluate_all(policy, chosen, sandbox, config, seed_of(config.seed, "choose"))
        write_jsonl(folder / "evaluations" / "training_problems.jsonl", rows)
        rates = [np.mean([all(passes) for passes in row["outcomes"]]) for row in rows]
        chosen = [chosen[i] for i, rate in enumerate(rates) if config.min_pass <= rate <= config.max_pass]
    if not chosen:
        raise UsageError(f"none of the {len(problems)} problems is left; see --drop-broken, --min-pass and --max-pass")
    warn(f"{len(chosen)} of {len(problems)} problems are left to train on")
    write_text(file, json.dumps([problem.task_id for problem in chosen]))
    return chosen


def find_reward(name: str) -> Callable[..., torch.Tensor]:
    """A reward of REWARDS, or one of yours by its path: "FILE.py:function", or "module.function" in the current
    folder. (In a notebook, enter it in REWARDS.) Outcomes and mask [P, G, T] -> rewards [P, G]; one that takes a third
    argument gets the rollout. Where it does not return a finite number a sample, the one found here says so."""
    is_file, function = ":" in name, REWARDS.get(name)
    path, _, function_name = name.rpartition(":" if is_file else ".")
    if not path and not function:
        raise UsageError(f"unknown reward {name!r}; choose from {', '.join(REWARDS)}, or yours: FILE.py:function")
    folder = str(Path(path).resolve().parent if is_file else Path.cwd())
    sys.path.insert(0, folder)  # what it imports may lie beside it
    try:
        function = function or (runpy.run_path(path) if is_file else vars(importlib.import_module(path)))[function_name]
    except Exception as error:  # whatever a file may raise
        raise UsageError(f"cannot find the reward {name!r}: {error!r:.200}") from None
    finally:
        sys.path.remove(folder)

    def reward(outcomes: torch.Tensor, mask: torch.Tensor, rollout: Rollout | None = None) -> torch.Tensor:
        try:
            parameters = inspect.signature(function).parameters.values()
            taken = [
                x for x in parameters if x.name == "rollout" or (x.default is x.empty and x.kind < x.VAR_POSITIONAL)
            ]
            rewards = function(*(outcomes.clone(), mask.clone(), rollout)[: max(2, len(taken))])
        except Exception as error:
            raise UsageError(f"the reward {name} raised {error!r:.200}") from error
        shape = list(outcomes.shape[:2])
        if not isinstance(rewards, torch.Tensor) or list(rewards.shape) != shape or not rewards.isfinite().all():
            got = f"{' '.join(repr(rewards).split()):.80}, of shape {list(getattr(rewards, 'shape', []))}"
            raise UsageError(f"the reward {name} must return a tensor of shape {shape} of finite numbers, not {got}")
        return rewards.float()

    return functools.update_wrapper(reward, function)


def source_of(reward: Callable[..., torch.Tensor]) -> str:
    """What a run folder keeps of its reward: its file, or the function alone where a notebook is the file."""
    function = inspect.unwrap(reward)
    if getattr(function, "__module__", "") == __name__:
        return f"# {function.__name__}, of minirl\n"
    with contextlib.suppress(OSError, TypeError):
        return Path(inspect.getsourcefile(function)).read_text(encoding="utf-8")
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsource(function)
    return "# its source could not be found\n"


def new_run_folder(config: Config) -> Path:
    """Make the folder of a new run: config.out, or the first free name below runs/."""
    names = [re.sub(r"[^\w.-]+", "-", name).strip("-.") for name in (config.model, config.reward)]
    name = f"{names[0]}-{config.algorithm}-{names[1]}-seed{config.seed}"
    candidates = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
    folder = Path(config.out) if config.out else next(f for n in candidates if not (f := Path("runs") / n).exists())
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"the folder {folder} is not empty; choose another --out, or --resume {folder}")
    with writing(folder):
        (folder / "rollouts").mkdir(parents=True)
        (folder / "evaluations").mkdir()
    return folder


def saved_config(folder: Path) -> Config:
    """The settings of the run in a folder."""
    try:
        saved = json.loads((folder / "config.json").read_text())
        return Config(**{**saved, "resume": str(folder), "out": str(folder)})
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"there is no run in {folder}: {error}") from None


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run folder; None where there is none (yet)."""
    return next((x for x in (folder / "checkpoint", folder / "checkpoint.old") if x.exists()), None)


def load_trainer_state(checkpoint: Path, optimizer: torch.optim.Optimizer) -> int:
    """Restore the optimizer; returns the number of steps done."""
    try:
        state = torch.load(checkpoint / "trainer.pt", weights_only=True, map_location="cpu")
        optimizer.load_state_dict(state["optimizer"])
        return state["step"]
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise UsageError(f"cannot read {checkpoint / 'trainer.pt'}: {first_line(error)}") from None


def rollout_rows(
    problems: Sequence[Problem], rollout: Rollout, outcomes: torch.Tensor, mask: torch.Tensor
) -> list[dict[str, Any]]:
    """What is saved of a graded rollout, a row a problem: any reward can be recomputed from it."""
    return [
        {
            "task_id": problem.task_id,
            "prompt": problem.prompt,
            "completions": rollout.completions[p],
            "tokens": rollout.completion_mask[p].sum(-1).tolist(),
            "cut_off": rollout.cut_off[p].int().tolist(),
            "programs": rollout.programs[p],
            "outcomes": outcomes[p, :, mask[p, 0]].int().tolist(),
            "verdicts": [[str(verdict) for verdict in verdicts] for verdicts in rollout.verdicts[p]],
            "details": rollout.details[p],
        }
        for p, problem in enumerate(problems)
    ]


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
    except Exception as error:  # OSError, and what torch and safetensors have of their own
        raise UsageError(f"cannot write {path}: {first_line(error)}; what was there before is whole") from None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. Of several processes, the first one does."""
    if rank() == 0:
        scratch = path.with_name(path.name + ".new")
        with writing(path):
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(path)


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def append_jsonl(path: Path, row: dict[str, Any]) -> None:
    if rank() == 0:
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
# 18. Reports: a group, what a run achieved, two evaluations compared, curves. Called by the command line


def inspect_group(rows: Sequence[dict[str, Any]], index: int, shown: Sequence[str] = ("binary", "pass_rate")) -> str:
    """A table of one saved group: a line a sample, the best first, with a mark per test, and its reward and advantage
    under the rewards shown and every algorithm. (The step's other groups matter to reinforce alone.)"""
    outcomes, mask = outcomes_of_rows(rows)
    row = rows[index]
    first = row["completions"].index
    columns: list[tuple[str, str, torch.Tensor]] = []  # reward, heading, values [G]
    for reward_name in shown:
        saved = reward_name not in OWN_REWARDS and "rewards" in row
        rewards = torch.tensor([x["rewards"] for x in rows]) if saved else find_reward(reward_name)(outcomes, mask)
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
        failures = collections.Counter(verdict for verdict in row["verdicts"][g] if verdict != "passed").most_common()
        lines += [f"      ({', '.join(f'{n} {verdict}' for verdict, n in failures)})"] if failures else []
    dead = [name for name in OWN_REWARDS if is_dead(REWARDS[name](outcomes, mask)[index]).item()]
    lines += ["", f"No signal for this group under {', '.join(dead)}." if dead else "A signal under every reward."]
    return "\n".join(lines)


def verdict_mix(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What became of the samples, as shares: passed, or the verdict of the first test that was not passed."""
    firsts = [next((v for v in verdicts if v != "passed"), "passed") for row in rows for verdicts in row["verdicts"]]
    return {verdict: count / len(firsts) for verdict, count in collections.Counter(firsts).most_common()}


def cells_of(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """{"pass@1": "0.512 [0.44, 0.58]", ...} of saved rows."""
    return {name: "{:.3f} [{:.2f}, {:.2f}]".format(*interval(values)) for name, values in columns_of(rows).items()}


def report(folder: Path) -> str:
    """What a run achieved: held-out results and one problem's sample, before and after, and where things are."""
    metrics = read_jsonl(folder / "metrics.jsonl")
    steps = [row["step"] for row in metrics if "eval/pass@1" in row]
    before, after = (read_jsonl(folder / "evaluations" / f"step_{step:06d}.jsonl") for step in (steps[0], steps[-1]))
    lines = [f"  {'held out':12}{'before':>24}{'after ' + str(steps[-1]) + ' steps':>24}"]
    lines += [f"  {name:12}{cell:>24}{cells_of(after)[name]:>24}" for name, cell in cells_of(before).items()]
    samples = len(after[0]["completions"])
    lines.append(f"  ({len(after)} problems, {samples} samples each; in brackets: 95 % interval over problems)")
    lines += words_on_limit(after)
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
    lines += ["", f"{folder}/ holds metrics.jsonl, rollouts/, evaluations/ and checkpoint/"]
    lines.append(f"next: minirl inspect {folder}    minirl plot {folder}    minirl eval --model {folder}")
    return "\n".join(lines)


def describe(rows: Sequence[dict[str, Any]]) -> str:
    """What an evaluation measured, in a few lines."""
    lines = [f"{len(rows)} problems × {len(rows[0]['outcomes'])} samples   [95 % interval over problems]"]
    lines += [f"  {name:10} {cell}" for name, cell in cells_of(rows).items()]
    mix = ", ".join(f"{share:.1%} {verdict}" for verdict, share in verdict_mix(rows).items())
    return "\n".join([*lines, f"samples: {mix}", *words_on_limit(rows)])


def words_on_limit(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line, if the token limit has cut off most of the samples."""
    share = np.mean([cut for row in rows for cut in row.get("cut_off", [0])])
    return [f"  {share:.0%} of the samples were cut off by the token limit: --max-new-tokens"] if share > 0.5 else []


def saved_evaluation(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that `minirl eval --out` wrote, or of the last evaluation of a run."""
    files = sorted((path / "evaluations").glob("step_*.jsonl")) if path.is_dir() else [path]
    rows = read_jsonl(files[-1]) if files else []
    if not rows or not all("outcomes" in row and "verdicts" in row for row in rows):
        raise UsageError(f"there is no evaluation in {path}; minirl eval --out FILE.jsonl and training runs write one")
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
    a, b = ([rows[task_id] for task_id in shared] for rows in by_task)
    pairs, cells = (columns_of(a), columns_of(b)), (cells_of(a), cells_of(b))
    lines = [f"A  {paths[0]}", f"B  {paths[1]}", f"on {len(shared)} problems of both   [95 % interval over problems]"]
    x, y = (rows[0].get("settings", {}) for rows in (a, b))
    apart = ("model", "toy_noise", "toy_seed", "problems", "seed")  # what a comparison may be about
    differ = [f"{name} ({x[name]}, {y.get(name)})" for name in x if name not in apart and x[name] != y.get(name)]
    lines += [f"measured with different settings: {', '.join(differ)}"] if differ else []
    lines += ["", f"  {'':10}{'A':>22}{'B':>22}{'B - A':>26}"]
    for name in (name for name in pairs[0] if name in pairs[1]):
        difference = "{:+.3f} [{:+.2f}, {:+.2f}]".format(*interval(pairs[1][name] - pairs[0][name]))
        lines.append(f"  {name:10}{cells[0][name]:>22}{cells[1][name]:>22}{difference:>26}")
    return "\n".join(lines)


# One colour a reward, the same in every figure (Okabe and Ito's palette, safe for colour-blind readers).
COLORS = {"binary": "#0072B2", "pass_rate": "#D55E00", "gated": "#009E73", "hard_tests": "#CC79A7"}


def plot_runs(folders: Sequence[Path], file: Path) -> None:
    """Draw the curves of runs: one colour a reward, one kind of line an algorithm, so that seeds lie side by side."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("a figure needs matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = {"eval/pass@1": "held-out pass@1", "eval/pass_rate": "held-out pass rate", "dead_groups": "dead groups"}
    for axis, (name, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for folder in folders:
            config, rows = saved_config(folder), read_jsonl(folder / "metrics.jsonl")
            curve = {row["step"]: row[name] for row in rows if name in row}
            steps, values = list(curve), list(curve.values())
            if name == "dead_groups" and len(steps) > 10:  # a step has few groups
                steps, values = steps[9:], np.convolve(values, np.ones(10) / 10, mode="valid")
            style = dict(zip(ADVANTAGES, ("-", "--", "-.", ":"), strict=True))[config.algorithm]
            label = f"{config.algorithm} {config.reward}, seed {config.seed}"
            axis.plot(steps, values, style, label=label, color=COLORS.get(config.reward))
        axis.set(title=title, xlabel="step (mean of ten)" if name == "dead_groups" else "step", ylim=(0, 1))
        axis.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    with writing(file):
        figure.savefig(file, dpi=150)


# ----------------------------------------------------------------------------------------------------------------------
# 19. Command line: a function a command, and the settings that it uses


def complete_and_check(config: Config) -> None:
    """Fill in the defaults that follow the model; raise UsageError for settings that cannot be."""
    for name, kind in typing.get_type_hints(Config).items():
        value, kinds = getattr(config, name), typing.get_args(kind) or (kind,)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, (*kinds, int) if float in kinds else kinds) for part in parts):
            raise UsageError(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, got {value!r}")
    toy = is_toy(config.model)
    config.lr = (5e-4 if toy else 1e-6) if config.lr is None else config.lr
    config.max_new_tokens = (32 if toy else 512) if config.max_new_tokens is None else config.max_new_tokens
    config.prompt_style = "verbatim" if toy and config.prompt_style == "auto" else config.prompt_style
    for x in fields(config):
        name, value, limits = x.name, getattr(config, x.name), x.metadata["limits"]
        if "choices" in limits and value not in limits["choices"]:
            raise UsageError(f"unknown {name} {value!r}; choose from {', '.join(limits['choices'])}")
        for words, number in (limits if value is not None else {}).items():
            if words == "at_least" and not value >= number or words == "above" and not value > number:  # nan, too
                raise UsageError(f"{name} must be {words.replace('_', ' ')} {number}, got {value}")
    if not 0 <= config.min_pass <= config.max_pass <= 1:
        raise UsageError(f"it must be 0 <= min_pass <= max_pass <= 1, got {config.min_pass} and {config.max_pass}")
    if config.group_size < 2 and config.algorithm != "reinforce":
        raise UsageError(f"group_size must be at least 2 for {config.algorithm}, which compares samples")
    if config.group_size * config.problems_per_step < 2:
        raise UsageError("group_size or problems_per_step must be at least 2: reinforce judges against the batch")


def train_command(settings: dict[str, Any], extra: argparse.Namespace) -> None:
    """train a policy; by default the toy"""
    if "resume" in settings:
        settings = asdict(saved_config(Path(settings["resume"]))) | settings
    folder = train(Config(**settings))
    if rank() == 0:
        print(report(folder))


def eval_command(settings: dict[str, Any], extra: argparse.Namespace) -> None:
    """measure pass@k of --model on --problems; or compare what was measured before: minirl eval A B"""
    if extra.measured:
        if settings:
            raise UsageError(
                f"what was measured before takes no settings; now: minirl eval --model {extra.measured[0]}"
            )
        print(compare(extra.measured))
        return
    if "eval_size" not in settings and settings.get("problems", "toy") != "toy":
        settings["eval_size"] = sys.maxsize
    config = Config(**settings)
    join_processes(config)
    toy = config.problems == "toy"
    problems = toy_problems("test", config.families, config.levels) if toy else load_problems(config.problems)
    policy = policy_of(config, config.model)
    problems = those_that_fit(policy, problems[: config.eval_size], config)
    with open_sandbox(config) as sandbox:
        rows = evaluate_all(policy, problems, sandbox, config, seed_of(config.seed, "eval", 0), config.out)
    if rank() == 0:
        print(f"{config.model}\n{describe(rows)}")


def check_command(settings: dict[str, Any], extra: argparse.Namespace) -> int:
    """run the reference solutions of a problem file, and name those that fail"""
    problems = load_problems(extra.file)
    with open_sandbox(Config(**settings)) as sandbox:
        broken = check_solutions(problems, sandbox)
    for task_id, reason in broken.items():
        print(f"{task_id}: {reason}")
    unsolved = sum(problem.solution is None for problem in problems)
    passing = f"{len(problems)} problems: {len(problems) - len(broken) - unsolved} with a solution that passes"
    print(f"{passing}, {len(broken)} with one that does not, {unsolved} without")
    return 1 if broken else 0


def inspect_command(settings: dict[str, Any], extra: argparse.Namespace) -> None:
    """put one group of a run's samples under the microscope"""
    run, files = saved_config(Path(extra.run)), sorted(Path(extra.run, "rollouts").glob("step_*.jsonl"))
    file = next((x for x in files[::-1] if extra.step in (None, int(x.stem[5:]))), None)
    if file is None:
        step = "" if extra.step is None else f" of step {extra.step}"
        raise UsageError(f"{extra.run} has no rollouts{step}; it has {len(files)} steps")
    rows = read_jsonl(file)
    names = [row["task_id"] for row in rows]
    if extra.task_id and extra.task_id not in names:
        raise UsageError(f"no group of {extra.task_id!r} there; the groups are {', '.join(names)}")
    rates = [{sum(passes) / len(passes) for passes in row["outcomes"]} for row in rows]  # of a group
    telling = [len(of_group) + 100 * (1 in of_group and len(of_group) > 1) for of_group in rates]
    index = names.index(extra.task_id) if extra.task_id else telling.index(max(telling))
    shown = dict.fromkeys(["binary", "pass_rate", run.reward])
    print(f"{names[index]}   ({file}, {len(rows)} groups)\n\n{inspect_group(rows, index, list(shown))}")


def plot_command(settings: dict[str, Any], extra: argparse.Namespace) -> None:
    """draw the curves of runs"""
    plot_runs(extra.runs, extra.out)
    print(extra.out)


RUN, STEP = dict(help="run folder"), dict(type=int, help="training step; default: the last")
TASK = dict(help="task id of a group; default: the most instructive one")
FIGURE = dict(type=Path, default=Path("runs.png"), help="file to write (png, svg, pdf)")
# A command's function, and its arguments that are no settings of a run.
COMMANDS: dict[str, tuple[Callable[..., int | None], dict[str, dict[str, Any]]]] = {
    "train": (train_command, {}),
    "eval": (eval_command, {"measured": dict(nargs="*", type=Path, help="files or run folders; none: measure now")}),
    "check": (check_command, {"file": dict(help="file or URL of problems")}),
    "inspect": (inspect_command, {"run": RUN, "--step": STEP, "--task-id": TASK}),
    "plot": (plot_command, {"runs": dict(nargs="+", type=Path, help="run folders"), "--out": FIGURE}),
}


class Parser(argparse.ArgumentParser):
    """Its errors are sentences of ours. Every command has one."""

    def error(self, message: str) -> typing.NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def make_parser() -> Parser:
    """All commands; of Config's fields, those that a command uses, in their groups."""
    parser = Parser(prog="minirl", description="RL for code from unit tests. Without a command: train.")
    parser.add_argument("--version", action="version", version=f"minirl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="COMMAND --help says more; the commands")
    types = typing.get_type_hints(Config)
    for command, (function, own) in COMMANDS.items():
        usage = " ".join(["minirl", command, *(name.upper() for name in own if name[0] != "-"), "[settings]"])
        words = {"help": function.__doc__, "description": function.__doc__, "usage": usage}
        sub = commands.add_parser(command, allow_abbrev=False, **words)
        for name, options in own.items():
            sub.add_argument(name, **options)
        title, groups = "", {}
        for x in fields(Config):
            title, kind = x.metadata["group"] or title, types[x.name]
            if command not in x.metadata["commands"]:
                continue
            groups[title] = groups.get(title) or sub.add_argument_group(title)
            names = [f"--{x.name.replace('_', '-')}", *filter(None, [x.metadata["alias"]])]
            single = next(k for k in (*typing.get_args(kind), kind) if k in (str, int, float, bool))
            options = {"type": single, "metavar": single.__name__.upper()}
            if single is bool:
                options = {"action": argparse.BooleanOptionalAction, "default": None}
            elif typing.get_origin(kind) is list:
                options["nargs"] = "+"
            words = x.default_factory()
            words = " ".join(map(str, words)) if isinstance(words, list) else words
            help = x.metadata["help"].replace("%", "%%") + (f" ({words})" if words not in ("", None, False) else "")
            groups[title].add_argument(*names, dest=x.name, help=help, **options)
    return parser


def read_arguments(argv: list[str]) -> tuple[str, dict[str, Any], argparse.Namespace]:
    """The command, the settings that were given, and the command's own arguments."""
    known = {x.name: x.metadata["commands"] for x in fields(Config)}
    namespace, others = make_parser().parse_known_args(argv)
    extra = vars(namespace)
    command = extra.pop("command")
    if others:
        users = known.get(others[0].strip("-").replace("-", "_"), [])
        hint = f", a setting of minirl {' and '.join(users)}" if users and command not in users else ""
        raise UsageError(f"minirl {command} does not know {' '.join(others)}{hint} (see minirl {command} --help)")
    mine = {name: extra.pop(name) for name in known if command in known[name]}
    settings = {name: value for name, value in mine.items() if value is not None}
    return command, settings, argparse.Namespace(**extra)


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 (a check failed), 2 (what the user can mend), 130 (Ctrl-C)."""
    argv, command = sys.argv[1:] if argv is None else argv, ""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv = ["train", *argv]
    try:
        command, settings, extra = read_arguments(argv)
        code = COMMANDS[command][0](settings, extra)
        if dist.is_initialized():
            dist.destroy_process_group()
        return code or 0
    except (UsageError, SandboxError, torch.OutOfMemoryError) as error:
        name = f"minirl, process {rank()}" if world_size() > 1 else "minirl"
        words = "try fewer --micro-batch-tokens (training), --batch-rows (evaluation) or --max-new-tokens"
        hint = f"the device ran out of memory; {words}" if isinstance(error, torch.OutOfMemoryError) else error
        print(f"\r{name}: {hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        hint = "; the run goes on with --resume FOLDER" if command == "train" else ""
        print(f"\nminirl: interrupted{hint}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
