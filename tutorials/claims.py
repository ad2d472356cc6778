"""The claims about rewards, measured: density, calibration and gradients, on the base models of the study.

    python tutorials/claims.py measure     40 minutes on two cores; what is there is kept
    python tutorials/claims.py model EVALUATION.jsonl FILE.json   of a pretrained model: see measure_model
    python tutorials/claims.py             every number again, from the saved measurements
    python tutorials/claims.py table       the tables of results/README.md, from these and the study's results
    python tutorials/claims.py figures     a figure a claim, from the same; results/density.png is the front page's

Measurements are in results/claims.json, a row a base model (strength and seed): the outcomes of 32 samples for each of
48 training problems, how far each sample is from a full pass, and reports on gradients for some of them.
"""

import concurrent.futures
import functools
import itertools
import json
import math
import multiprocessing
import os
import sys
import textwrap
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import diagnostics
import numpy as np
import torch
from study import (
    STRENGTHS,
    STUDY,
    conditions_of,
    crossed_interval,
    curves_of,
    in_brackets,
    paired_difference,
    panels_of,
    rows_of_conditions,
    seed_interval,
    step_in_words,
    study_summary,
)
from tqdm import tqdm

import minirl
from minirl import REWARDS  # all ten: study.py enters those of rewards.py

RESULTS = Path(__file__).parent / "results"
FILE, MODEL_FILE = RESULTS / "claims.json", RESULTS / "smollm2_claims.json"
STUDY_FILE, REMEDIES_FILE, PRETRAINED_FILE = (
    RESULTS / name / "results.json" for name in ("rewards", "remedies", "pretrained")
)
PROBLEMS, SAMPLES, GROUP = 48, 32, 16
WITH_DISTANCES, WITH_GRADIENTS, WITH_EXACT, WITH_PREFIXES = 24, 16, 4, 16  # of these problems
CONTROLS = 4  # updates that know nothing, of each kind, for each group and reward
MAIN = ("binary", "pass_rate", "gated", "hard_tests")
MODEL_REWARDS = ("binary", "pass_rate")  # gated is one of the two in every group


def base_of(strength: str) -> tuple[dict, list[minirl.ToyProblem]]:
    """The settings of load_policy for a strength of the toy's base model, and its training problems."""
    settings = {name: values[0] for name, values in STRENGTHS[strength].items()}
    problems = minirl.toy_problems("train", settings.get("families", tuple(minirl.FAMILIES)))
    return {"toy_noise": settings["toy_noise"]}, problems[:PROBLEMS]


def measure(strength: str, seed: int) -> dict:
    """The row of one base model."""
    torch.set_num_threads(1)
    settings, problems = base_of(strength)
    policy = minirl.load_policy("toy", **settings, toy_seed=seed)
    row = {"strength": strength, "seed": seed, "task_ids": [problem.task_id for problem in problems]}
    with minirl.Sandbox(2) as sandbox:
        rollout = minirl.sample(policy, problems, SAMPLES, seed=seed)
        outcomes, mask = minirl.grade(problems, rollout, sandbox)
        row["outcomes"] = [["".join("01"[x] for x in sample) for sample in group] for group in outcomes.int().tolist()]
        row["distances"] = []
        for problem, texts in zip(problems[:WITH_DISTANCES], rollout.completions, strict=False):
            known = distances(problem.task_id)
            row["distances"].append([known.get(text) for text in texts])  # None: not of the grammar
        continued = problems[:WITH_PREFIXES]
        row["prefixes"] = prefixes(policy, continued, rollout.completions, outcomes, mask, sandbox, seed)
        row["gradients"] = []
        for p, problem in enumerate(problems[:WITH_GRADIENTS]):
            full_passes = [text for text, distance in distances(problem.task_id).items() if distance == 0]
            row["gradients"].append(gradients(policy, problems, rollout, outcomes, mask, p, full_passes))
        row["exact"] = [
            diagnostics.exact_report(policy, problem, sandbox, group_sizes=(4, 8, 16), rewards=MAIN, seed=seed)
            for problem in problems[:WITH_EXACT]
        ]
    return row


@functools.cache
def distances(task_id: str) -> dict[str, int]:
    """For every program of the grammar on a problem: how many slots separate it from a full pass."""
    (problem,) = (problem for problem in minirl.toy_problems("train") if problem.task_id == task_id)
    programs = diagnostics.grammar_programs(problem)
    with minirl.Sandbox(2) as sandbox:
        results = sandbox.map([problem.program(text, verbatim=True) for text in programs])
        passed = torch.tensor([result.passed for result in results])
    return dict(zip(programs, diagnostics.slot_distances(problem, passed).tolist(), strict=True))


def prefixes(policy, problems, completions, outcomes, mask, sandbox, seed, config=None) -> list[dict]:
    """For up to four wrong samples a problem of different pass rates: how often their prefixes can be completed."""
    rates, found = minirl.pass_rate(outcomes, mask), []
    for p, problem in enumerate(problems):
        of_rate = {float(rate): g for g, rate in enumerate(rates[p]) if rate < 1}
        ranked = sorted(of_rate)
        chosen = [of_rate[ranked[i]] for i in sorted({round(x) for x in np.linspace(0, len(ranked) - 1, 4)})]
        texts = [completions[p][g] for g in chosen]
        values = diagnostics.prefix_values(policy, problem, texts, sandbox, samples=16, config=config, seed=seed)
        found += [
            {"problem": p, "pass_rate": float(rates[p, g]), "values": values[i].tolist()} for i, g in enumerate(chosen)
        ]
    return found


def gradients(policy, problems, rollout, outcomes, mask, p, full_passes=None, **settings) -> dict:
    """A report on 16 samples of the p-th problem, without its matrices; settings are gradient_report's."""
    names = ("completion_ids", "completion_mask", "logprobs", "entropy")
    parts = {name: getattr(rollout, name)[:, :GROUP] for name in names}
    groups = replace(rollout, completions=[texts[:GROUP] for texts in rollout.completions], **parts)
    config = settings.pop("config", minirl.Config(algorithm="grpo", lr=STUDY["settings"]["lr"]))
    settings = {"rewards": MAIN, "controls": CONTROLS, "config": config, "full_passes": full_passes} | settings
    of_group = outcomes[:, :GROUP], mask[:, :GROUP]
    report = diagnostics.gradient_report(policy, problems[p], groups, *of_group, p, **settings)
    pairs = {"pairs": diagnostics.pairs_by_class(report), "pushes": diagnostics.pairs_by_class(report, "pass_rate")}
    for of_reward in report["rewards"].values():
        del of_reward["advantages"]
    kept = {name: report[name] for name in ("has_full_pass", "cosine_of_targets", "rewards")}
    return {"problem": p} | pairs | kept


def measure_model(file: Path, out: Path) -> None:
    """The row of a pretrained model, from an evaluation of it (minirl eval --samples 16 --out FILE): outcomes of all
    problems; gradients and calibration of those on which its samples earn different pass rates. Gradients are those of
    its last layer, and the target is one solution: of another style than the model's, so that gains would say little.
    """
    rows = minirl.read_jsonl(file)
    names = {field.name for field in fields(minirl.Config)}
    settings = {name: value for name, value in rows[0]["settings"].items() if name in names}
    config = minirl.Config(**settings | {"lr": 0.0, "temperature": settings["eval_temperature"]})
    policy = minirl.load_policy(config.model, prompt_style=config.prompt_style, instruction=config.instruction)
    toy = minirl.toy_problems("train") + minirl.toy_problems("test")
    known = {x.task_id: x for x in (toy if config.problems == "toy" else minirl.load_problems(config.problems))}
    outcomes, mask = minirl.outcomes_of_rows(rows)
    live = ~minirl.is_dead(minirl.pass_rate(outcomes[:, :GROUP], mask[:, :GROUP])).squeeze(-1)
    chosen = live.nonzero().squeeze(-1).tolist()
    problems = [known[rows[p]["task_id"]] for p in chosen]
    last = f"layers.{policy.model.config.num_hidden_layers - 1}."
    settings = {"config": config, "rewards": MODEL_REWARDS, "only": last, "controls": 0}
    groups, lengths, reports = [rows[p]["completions"] for p in chosen], [rows[p]["tokens"] for p in chosen], []
    for i, problem in enumerate(tqdm(problems, unit="problem")):
        rollout = diagnostics.written_rollout(policy, problem, groups[i], lengths[i])
        rollout = replace(rollout, temperature=config.temperature)
        report = gradients(policy, [problem], rollout, outcomes[chosen[i]][None], mask[chosen[i]][None], 0, **settings)
        reports.append(report | {"problem": i})
    with minirl.Sandbox() as sandbox:
        continued = prefixes(policy, problems, groups, outcomes[chosen], mask[chosen], sandbox, seed=0, config=config)
    kept = [["".join(map(str, map(int, sample))) for sample in row["outcomes"]] for row in rows]
    row = {"task_ids": [row["task_id"] for row in rows], "outcomes": kept, "prefixes": continued, "gradients": reports}
    minirl.write_text(out, json.dumps(_rounded(row), separators=(",", ":")))


def measure_all() -> None:
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    done = {(row["strength"], row["seed"]) for row in rows}
    cells = [(strength, seed) for seed in STUDY["seeds"] for strength in STRENGTHS]
    missing = [cell for cell in cells if cell not in done]
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context) as pool:
        tasks = [pool.submit(measure, *cell) for cell in missing]
        for task in tqdm(concurrent.futures.as_completed(tasks), total=len(tasks), unit="base model"):
            rows.append(task.result())
            rows.sort(key=lambda row: cells.index((row["strength"], row["seed"])))
            minirl.write_text(FILE, json.dumps(_rounded(rows), separators=(",", ":")))


def _rounded(value):
    """Four significant digits, and None for what is undefined: JSON has no nan."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


# What the rows say. A number is a mean over base models (seeds) and problems, its interval that of crossed_interval.
# A measure takes the rows of one strength to Values, which mean_of makes a cell of a table, and interval_of a bar.


def outcomes_of(row: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """The outcomes and mask [P, G, T] of all samples."""
    groups = [{"outcomes": [[int(x) for x in sample] for sample in group]} for group in row["outcomes"]]
    return minirl.outcomes_of_rows(groups)


Values = list[list[float | None]]  # [bases][problems], None where a problem has no such value


def interval_of(values: Values) -> tuple[float, float, float] | None:
    """mean, low, high; a problem without a value on some base is left out there. Fewer than ten values, or than three
    problems, are none."""
    table = np.array([[math.nan if value is None else value for value in row] for row in values], dtype=float)
    known = np.isfinite(table)
    return None if known.sum() < 10 or known.any(0).sum() < 3 else crossed_interval(table)


def mean_of(values: Values, digits: int = 2) -> str:
    """The cell of a table: "mean [low, high]", or "-"."""
    found = interval_of(values)
    return "{:.{n}f} [{:.{n}f}, {:.{n}f}]".format(*found, n=digits) if found else "-"


def solved(rows: list[dict]) -> Values:
    """pass@1 of each problem."""
    return [minirl.binary(*outcomes_of(row)).double().mean(-1).tolist() for row in rows]


def density(rows: list[dict], reward: str, group_size: int = 8, tests: slice = slice(None)) -> Values:
    """The share of a problem's groups with a signal, if these tests were all."""
    shares = []
    for row in rows:
        outcomes, mask = (x[..., tests] for x in outcomes_of(row))
        whole = outcomes.shape[1] // group_size * group_size
        groups = [x[:, :whole].unflatten(1, (-1, group_size)) for x in (outcomes, mask)]
        live = [~minirl.is_dead(REWARDS[reward](*of_problem))[:, 0] for of_problem in zip(*groups, strict=True)]
        shares.append([float(x.float().mean()) for x in live])
    return shares


def misleading(rows: list[dict]) -> dict[str, str]:
    """Which tests do samples pass that are no full pass? The empty input, the others, and each problem's worst."""
    shares = [diagnostics.misleading_tests(*outcomes_of(row)) for row in rows]
    parts = {"the empty input": [x[:, 0] for x in shares], "other tests": [x[:, 1:].mean(-1) for x in shares]}
    parts["a problem's most misleading test"] = [x.amax(-1) for x in shares]
    for family in minirl.FAMILIES:
        members = torch.tensor([task_id.startswith(family) for task_id in rows[0]["task_ids"]])
        parts[f"any test of {family}"] = [x[members].mean(-1) for x in shares]
    return {name: mean_of([part.tolist() for part in of_rows]) for name, of_rows in parts.items()}


def theory(rows: list[dict], group_size: int) -> float:
    """What 1 - (1 - p)^G - p^G says if all problems had the mean p."""
    return diagnostics.live_groups(float(np.mean(solved(rows))), group_size)


def wrong_samples(rows: list[dict]) -> dict[str, list[list[tuple[float, float, int]]]]:
    """(pass rate, truth, problem) of wrong samples, by row. The truth, from 0 to 1: how often the model completes
    prefixes of the sample to a full pass; the share of its slots that are right."""
    found = {"prefix": [], "slots": []}
    for row in rows:
        outcomes, mask = outcomes_of(row)
        rates = (outcomes.sum(-1) / mask.sum(-1).double()).tolist()  # in double: 0.7 is not below 0.7
        groups = enumerate(row.get("distances", []))  # a pretrained model's programs have no slots
        known = [(p, g, d) for p, group in groups for g, d in enumerate(group) if d is not None]
        found["slots"].append([(rates[p][g], 1 - distance / 3, p) for p, g, distance in known if rates[p][g] < 1])
        found["prefix"].append([(x["pass_rate"], float(np.mean(x["values"])), x["problem"]) for x in row["prefixes"]])
    return found


Truths = list[list[tuple[float, float, int]]]  # of wrong_samples: a list for each row


def within_problems(of_rows: Truths, measure: Callable[[np.ndarray, np.ndarray], float]) -> Values:
    """A measure of pass rate and truth within each problem: that some are easy must not make it look better."""
    return [[measure(*np.array(x).T) if x else None for x in row] for row in by_problem(of_rows)]


def truths_between(of_rows: Truths, low: float, high: float) -> Values:
    """The mean truth of a problem's samples with a pass rate from low to below high."""
    chosen = [[[truth for rate, truth in x if low <= rate < high] for x in row] for row in by_problem(of_rows)]
    return [[float(np.mean(x)) if x else None for x in row] for row in chosen]


def by_problem(of_rows: Truths) -> list[list[list[tuple[float, float]]]]:
    """(pass rate, truth) of samples: [rows][problems][samples]."""
    problems = 1 + max((x[2] for row in of_rows for x in row), default=-1)
    return [[[x[:2] for x in row if x[2] == p] for p in range(problems)] for row in of_rows]


def differences(mine: Values, others: Values) -> Values:
    """Of values that both have, problem by problem."""
    pairs = [zip(a, b, strict=True) for a, b in zip(mine, others, strict=True)]
    return [[None if None in pair else pair[0] - pair[1] for pair in row] for row in pairs]


def of_reports(rows: list[dict], reward: str, name: str, has_full: bool | None = None) -> Values:
    """A number of gradient_report, or the mean of several, over the groups with a full pass, without one, or all."""

    def value(group: dict) -> float | None:
        found = group["rewards"][reward][name] if has_full in (None, group["has_full_pass"]) else None
        return found if not isinstance(found, list) else float(np.mean(found)) if found else None

    return [[value(group) for group in row["gradients"]] for row in rows]


def gaining(rows: list[dict], name: str) -> Values:
    """Of the live groups without a full pass: the share in which the pass rate's update (gain), or one of its controls
    (shuffled, random: the share of their draws), makes a full pass likelier."""

    def value(group: dict) -> float | None:
        found = None if group["has_full_pass"] else group["rewards"]["pass_rate"][name]
        return None if found in (None, []) else float((np.array(found) > 0).mean())

    return [[value(group) for group in row["gradients"]] for row in rows]


def of_pairs(rows: list[dict], kind: str, name: str, of: str = "pairs") -> Values:
    """A number of pairs_by_class, over the groups that have such pairs: of gradients, or of the pass rate's pushes."""
    return [[group[of].get(kind, {}).get(name) for group in row["gradients"]] for row in rows]


def of_other_pairs(rows: list[dict], kind: str, name: str, of: str = "pairs") -> Values:
    """The same of all other pairs of programs in the groups that have pairs of this kind: what two programs of a model
    on one prompt are like, and so the control of a kind."""

    def value(group: dict) -> float | None:
        pairs = [x for other, x in group[of].items() if other != kind and kind in group[of]]
        return sum(x["pairs"] * x[name] for x in pairs) / sum(x["pairs"] for x in pairs) if pairs else None

    return [[value(group) for group in row["gradients"]] for row in rows]


def of_exact(rows: list[dict], value: Callable[[dict], float | None]) -> Values:
    return [[value(problem) for problem in row.get("exact", [])] for row in rows]


def live_share(problem: dict, reward: str) -> float:
    """Of groups of 8 drawn from the enumerated programs: under binary it follows from P(full pass) exactly."""
    if reward == "binary":
        return diagnostics.live_groups(problem["p_full"] / problem["mass"], 8)
    return problem["rewards"][reward]["8"]["live"]


def cosine_to_target(reward: str) -> Callable[[dict], float | None]:
    """Of a group of 8's update with the gradient of P(full pass), 0 for a dead group. (Where fewer than two of the
    groups live, that of a live one is not known and taken to be 1.)"""
    return lambda problem: (problem["rewards"][reward]["8"]["cosine_to_target"] or 1.0) * live_share(problem, reward)


def agreement(reward: str, with_dead: bool) -> Callable[[dict], float | None]:
    """Of groups of 8 with their expected update. Dead groups are updates of 0: |E u| / sqrt(E u^2) is smaller by the
    root of the live share. (Where fewer than two of the groups live, a live one is taken to agree.)"""

    def value(problem: dict) -> float | None:
        found = problem["rewards"][reward]["8"]["agreement"]
        return (found or 1.0) * math.sqrt(live_share(problem, reward)) if with_dead else found

    return value


Rows = list[tuple[str, list[str]]]  # of a table: a label, and a cell for each strength of the base model


def in_markdown(columns: list[str], rows: Rows) -> str:
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join(lines + [f"| {label} | " + " | ".join(cells) + " |" for label, cells in rows])


def bases_of_strength() -> dict[str, list[dict]]:
    rows = json.loads(FILE.read_text())
    return {strength: [row for row in rows if row["strength"] == strength] for strength in STRENGTHS}


def tables(bases: dict[str, list[dict]]) -> list[Rows]:
    """What results/README.md says of some models before training: a table for each claim, a column a model. Lines that
    none of them has a number for are left out."""

    def line(label: str, measure: Callable[..., Values], *arguments, digits: int = 2) -> tuple[str, list[str]]:
        return label, [mean_of(measure(rows, *arguments), digits) for rows in bases.values()]

    made = [rows_of_claim(line) for rows_of_claim in CLAIMS]
    return [[(label, cells) for label, cells in rows if set(cells) != {"-"}] for rows in made]


def table_of_model() -> str:
    """What results/README.md says of the pretrained model, whose problems have three tests, none the empty input."""
    rows = itertools.chain(*tables({"SmolLM2 on MBPP": [json.loads(MODEL_FILE.read_text())]}))
    return in_markdown(["SmolLM2 on MBPP"], [row for row in rows if not row[0].startswith("... pass_rate, with")])


def density_rows(line) -> Rows:
    """Where the bases begin, and claim (i)."""
    return [
        line("pass@1 on these problems", solved, digits=3),
        line("groups of 8 with a signal: binary", density, "binary"),
        line("... pass_rate", density, "pass_rate"),
        line("... pass_rate, without the test of the empty input", density, "pass_rate", 8, slice(1, None)),
        line("... pass_rate, with three of the other tests", density, "pass_rate", 8, slice(1, 4)),
    ]


def step_rows(line) -> Rows:
    """Claim (iii): what one step of the optimizer on one group of 16 does to log P(full pass)."""

    def minus(rows: list[dict], mine: tuple[str, str], others: tuple[str, str], has_full: bool) -> Values:
        return differences(of_reports(rows, *mine, has_full), of_reports(rows, *others, has_full))

    gain, shuffled, binary = ("pass_rate", "gain"), ("pass_rate", "shuffled"), ("binary", "gain")
    return [
        line("no full pass in the group: nats gained by a step of pass_rate", of_reports, *gain, False),
        line("... by its advantages shuffled", of_reports, *shuffled, False),
        line("... by random advantages", of_reports, "pass_rate", "random", False),
        line("... pass_rate minus shuffled", minus, gain, shuffled, False),
        line("... share of groups that gain: pass_rate", gaining, "gain"),
        line("... its advantages shuffled", gaining, "shuffled"),
        line("... random advantages", gaining, "random"),
        line("a full pass in the group: nats gained by a step of pass_rate", of_reports, *gain, True),
        line("... by its advantages shuffled", of_reports, *shuffled, True),
        line("... by a step of binary", of_reports, *binary, True),
        line("... pass_rate minus binary", minus, gain, binary, True),
    ]


def truth_rows(line) -> Rows:
    """Claim (iv)."""

    def minus_new_sample(rows: list[dict]) -> Values:
        return differences(truths_between(wrong_samples(rows)["prefix"], 0.7, 1.0), from_scratch(rows))

    completed = rows_of_truth(line, "prefix", "completed to a full pass")
    completed[5:5] = [
        line("... a new sample, on the problems of those with 0.7 and more", from_scratch),
        line("... from 0.7 minus a new sample, on the same problem", minus_new_sample),
    ]
    return [*completed, *rows_of_truth(line, "slots", "share of right slots")]


def rows_of_truth(line, name: str, words: str) -> Rows:
    """What wrong samples of low, middling and high pass rates are worth, by one of the two truths."""

    def between(rows: list[dict], low: float, high: float) -> Values:
        return truths_between(wrong_samples(rows)[name], low, high)

    def within(rows: list[dict], measure: Callable[[np.ndarray, np.ndarray], float]) -> Values:
        return within_problems(wrong_samples(rows)[name], measure)

    def difference(rows: list[dict], mine: tuple[float, float], others: tuple[float, float]) -> Values:
        return differences(between(rows, *mine), between(rows, *others))

    return [
        line(f"{words}: wrong samples with a pass rate below 0.3", between, 0.0, 0.3),
        line("... from 0.3 to below 0.7", between, 0.3, 0.7),
        line("... from 0.3 to 0.7 minus below 0.3, on the same problem", difference, (0.3, 0.7), (0.0, 0.3)),
        line("... from 0.7", between, 0.7, 1.0),
        line("... from 0.7 minus 0.3 to 0.7, on the same problem", difference, (0.7, 1.0), (0.3, 0.7)),
        line("... rank correlation with the pass rate, within a problem", within, diagnostics.spearman),
        line("... the highest that their ties allow", within, diagnostics.spearman_ceiling),
    ]


def from_scratch(rows: list[dict]) -> Values:
    """pass@1 of the problems that have a prefix of a wrong sample with a pass rate of 0.7 and more."""
    known = truths_between(wrong_samples(rows)["prefix"], 0.7, 1.0)
    pairs = [zip(a, b, strict=False) for a, b in zip(known, solved(rows), strict=True)]
    return [[None if a is None else b for a, b in row] for row in pairs]


KINDS = ("none-none", "none-partial", "none-full", "partial-partial", "partial-full", "full-full")


def conflict_rows(line) -> Rows:
    """Claim (v): how alike the gradients of samples are, what the sum leaves of them, and where it points."""

    def partial_minus_none(rows: list[dict]) -> Values:
        return differences(*(of_pairs(rows, kind, "cosine") for kind in ("partial-full", "none-full")))

    def minus_others(rows: list[dict], kind: str, name: str) -> Values:
        return differences(of_pairs(rows, kind, name, "pushes"), of_other_pairs(rows, kind, name, "pushes"))

    def cosine_of_targets(rows: list[dict]) -> Values:
        return [[group["cosine_of_targets"] for group in row["gradients"]] for row in rows]

    first = "mean cosine of two programs' gradients: "
    rows = [line(("... " if i else first) + kind, of_pairs, kind, "cosine") for i, kind in enumerate(KINDS)]
    rows.append(line("... partial-full minus none-full", partial_minus_none))
    for kind, (name, words) in itertools.product(
        ("partial-partial", "partial-full"), (("below", "below -0.1"), ("above", "above +0.1"))
    ):
        rows += [
            line(f"share of pairs of pushes with a cosine {words}: {kind}", of_pairs, kind, name, "pushes"),
            line("... of all other pairs in these groups", of_other_pairs, kind, name, "pushes"),
            line("... the difference", minus_others, kind, name),
        ]
    for reward, has_full, words in (("pass_rate", False, "no"), ("pass_rate", True, "a"), ("binary", True, "a")):
        words = f"share of all pushes that is kept: {reward}, {words} full pass in the group"
        rows += [
            line(words, of_reports, reward, "kept", has_full),
            line("... if all were orthogonal", of_reports, reward, "kept_if_orthogonal", has_full),
            line("... cosine of the sum with the target's gradient", of_reports, reward, "cosine_to_target", has_full),
            line("... with one solution's", of_reports, reward, "cosine_to_solution", has_full),
        ]
    return [*rows, line("cosine of the target's gradient and one solution's", cosine_of_targets)]


def price_rows(line) -> Rows:
    """The price of density, from exact gradients."""

    def minus_binary(rows: list[dict], measure: Callable[[str], Callable]) -> Values:
        return differences(*(of_exact(rows, measure(reward)) for reward in ("pass_rate", "binary")))

    words = "cosine of the exact gradients of P(full pass) and E[pass rate]"
    rows = [line(words, of_exact, lambda problem: problem["cosine"])]
    for words, measure in (
        ("agreement of live groups of 8", functools.partial(agreement, with_dead=False)),
        ("agreement of all groups of 8", functools.partial(agreement, with_dead=True)),
        ("cosine of a group of 8's update with the target's gradient, 0 if dead", cosine_to_target),
    ):
        rows += [
            line(f"{words}: pass_rate", of_exact, measure("pass_rate")),
            line("... binary", of_exact, measure("binary")),
            line("... pass_rate minus binary, on the same problem", minus_binary, measure),
        ]
    return rows


CLAIMS = (density_rows, step_rows, truth_rows, conflict_rows, price_rows)


def table_of_pairs(rows: list[dict], dimensions: int = 394_000) -> str:
    """Claim (v): how alike the gradients of two programs are, by what they pass; beside them random directions, in as
    many dimensions as the toy's model has weights."""
    digits = {"product": 4, "cosine": 2, "below": 2, "above": 2}
    table = [(kind, [mean_of(of_pairs(rows, kind, name), digits[name]) for name in digits]) for kind in KINDS]
    share = f"{diagnostics.random_share(dimensions):.2f}"
    table.append(("random directions, as many dimensions", ["", "0.00", share, share]))
    return in_markdown(["inner product", "cosine", "share below -0.1", "share above +0.1"], table)


def name_of_base(noise: float) -> str:
    return next(name for name, settings in STRENGTHS.items() if settings["toy_noise"] == [noise])


def lines_of_study(results: dict) -> dict[tuple[float, str, str, float | None], dict]:
    """The lines of a study's summary by noise, algorithm, reward, and learning rate; None: it was chosen by tuning.

    They have "one_program", too: the share of the samples at the end that are the commonest program of all problems;
    and "minus_pass_rate", the cell of a difference to the pass rate (its own rate, or the same one)."""
    lines = {}
    for line, (condition, rows) in zip(study_summary(results), rows_of_conditions(results), strict=True):
        samples = len(rows[0]["tests"]) * len(rows[0]["evaluations"]["0"][0])
        line["one_program"] = seed_interval(np.array([[row["programs"][0][1] / samples] for row in rows]))
        lines[tuple(condition.get(name) for name in ("toy_noise", "algorithm", "reward", "lr"))] = line
    for (noise, algorithm, _, lr), line in lines.items():
        other = lines.get((noise, algorithm, "pass_rate", lr))
        line["minus_pass_rate"] = minus(line, other) if other else ""
    return lines


def minus(line: dict, other: dict, measure: str = "pass@1") -> str:
    """The cell of a table: the difference of two lines in a measure, over the seeds that both have."""
    return in_brackets(paired_difference(line["of_seed"], other["of_seed"])[measure], "+")


def table_of_study(file: Path = STUDY_FILE) -> str:
    """What results/README.md says of the study, a column a base: what its rewards end with, and differences to binary,
    at the rate that tuning chose for each; and, where a pair was also trained at one rate, at that."""
    lines = lines_of_study(json.loads(file.read_text()))
    noises, rates = list(dict.fromkeys(noise for noise, *_ in lines)), sorted({lr for *_, lr in lines if lr})
    befores = [in_brackets(lines[noise, "grpo", "binary", None]["before"]) for noise in noises]
    own = [" / ".join(f"{lines[noise, 'grpo', reward, None]['lr']:g}" for reward in MAIN) for noise in noises]
    rows = [("base model's held-out pass@1", befores), (f"own rate: {' / '.join(MAIN)}", own)]
    tuned, each = [None], [None, *rates]
    for label, rewards, lrs, cell in (
        ("final pass@1, {}", MAIN, tuned, lambda line: in_brackets(line["pass@1"])),
        ("(ii) final pass@1, {} minus binary", ["pass_rate"], each, minus_binarys("pass@1")),
        ("the smallest such difference that would show", ["pass_rate"], each, minus_binarys("pass@1", "detectable")),
        ("final pass@8, {} minus binary", ["pass_rate"], each, minus_binarys("pass@8")),
        (
            "entropy at the end of training, nats a token, {} minus binary",
            ["pass_rate"],
            each,
            minus_binarys("entropy"),
        ),
        ("samples at the end that are one program, {}", MAIN[:2], tuned, lambda line: in_brackets(line["one_program"])),
        ("full passes in training still rise by, {}", MAIN[:2], tuned, lambda line: in_brackets(line["rise"], "+")),
        ("(vi) area under the pass@1 curve, {} minus binary", MAIN[1:3], each, minus_binarys("area")),
        ("(vii) final pass@1, {} minus binary", MAIN[2:], each, minus_binarys("pass@1")),
        ("(vii) final pass@1, {} minus pass_rate", MAIN[2:], each, lambda line: line["minus_pass_rate"]),
    ):
        for reward in rewards:
            words = label.format(reward) + ": "
            for (algorithm, name), lr in itertools.product({"grpo": "GRPO", "rloo": "RLOO"}.items(), lrs):
                found = [lines.get((noise, algorithm, reward, lr)) for noise in noises]
                cells = [cell(line) if line else "" for line in found]
                if any(cells):
                    seeds = max(line["seeds"] for line in found if line)
                    rows.append((words + name + (f", both at {lr}" if lr else "") + f" ({seeds} seeds)", cells))
                    words = "... "
    cells = [minus(lines[noise, "grpo", "binary", 2e-4], lines[noise, "grpo", "binary", None]) for noise in noises]
    rows.append(("final pass@1, binary at 0.0002 minus binary at its own rate: GRPO (5 seeds)", cells))
    return in_markdown([f"{name_of_base(noise)}, toy noise {noise}" for noise in noises], rows)


def minus_binarys(measure: str, part: str = "") -> Callable[[dict], str]:
    """The cell of a line of a study: its difference to binary in a measure, with its interval, or a part of that."""
    if part:
        return lambda line: f"{line['difference'][measure][part]:.3f}"
    return lambda line: in_brackets(line["difference"][measure], "+")


REMEDIES_IN_WORDS = (  # in the order of the study's conditions
    "binary, 12 problems × 8 samples",
    "pass_rate",
    "gated",
    "pass_rate, the empty input pays for a full pass only (control)",
    "3 problems × 32 samples",
    "level 1 first, from half of the steps on all",
    "only problems that one of 8 samples of the base solves",
    "such problems first, from half of the steps on all",
    "dynamic sampling: an update for 2 live groups",
    "dynamic sampling: an update for 6 live groups",
    "only full passes push (no baseline)",
    "binary in two stages (control)",
    "pass_rate under RLOO first, from half of the steps on binary",
    "gated under RLOO first, from half of the steps on binary",
    "half of the learning rate",
    "binary, twice the steps (and programs)",
    "pass_rate, twice the steps (and programs)",
)


def remedies_of_bases() -> dict[str, list[dict]]:
    """The lines of the study of remedies so far, by the name of the base, each with its condition in "words", and the
    share of "dead" groups over its runs."""
    results = json.loads(REMEDIES_FILE.read_text())
    conditions, lines = conditions_of(results["study"]), study_summary(results)
    for line, (_, rows) in zip(lines, rows_of_conditions(results), strict=True):
        line["dead"] = np.mean([row["training"]["dead_groups"] for row in rows])
        # the bases have the same conditions, one base after the other
        line["words"] = REMEDIES_IN_WORDS[conditions.index(line["condition"]) % len(REMEDIES_IN_WORDS)]
    panels = panels_of(lines).values()
    return {name_of_base(of_base[0]["condition"]["toy_noise"]): of_base for of_base in panels}


def tables_of_remedies() -> list[str]:
    """What results/README.md says of dead groups: a table a base."""
    found = []
    for name, lines in remedies_of_bases().items():
        rows = [("the base models", [in_brackets(lines[0]["before"]), *[""] * 5])]
        for line in lines:
            cells = []
            for measure in ("pass@1", "pass@8"):
                cells += [in_brackets(line[measure]), minus_binarys(measure)(line) if line["difference"] else ""]
            rows.append((line["words"], [*cells, step_in_words(line["doubled"]), f"{line['dead']:.2f}"]))
        of_binary, of_pass_rate = lines[-2:]
        cells = ["", minus(of_pass_rate, of_binary), "", minus(of_pass_rate, of_binary, "pass@8"), "", ""]
        rows.append(("... minus binary, twice the steps", cells))
        titles = [f"{name} base: pass@1", "minus the first line's", "pass@8", "minus the first line's"]
        found.append(in_markdown([*titles, "pass@1 has doubled by step", "dead groups"], rows))
    return found


def table_of_pretrained(file: Path = PRETRAINED_FILE) -> str:
    """What results/README.md says of the pretrained model's training: with what binary and pass_rate end."""
    runs = [rows for _, rows in rows_of_conditions(json.loads(file.read_text()))]
    table = []
    for name in ("pass@1", "pass@8", "pass_rate"):
        values = np.array([[curves_of(row)[1][name] for row in rows] for rows in runs])  # [2, seeds, evaluations, P]
        cells = cells_of_pair(values[:, :, -1], ways=2)
        table.append((f"held-out {name}", [f"{values[:, :, 0].mean():.3f}", *cells]))
    for words, name, first in (
        ("full passes in training", "full_pass", 0),
        ("... in its last third", "full_pass", 20),
        ("dead groups in training", "dead_groups", 0),
    ):
        values = np.array([[row["training"][name][first:] for row in rows] for rows in runs])  # [2, seeds, steps]
        table.append((words, ["", *cells_of_pair(values, ways=1), "", ""]))
    titles = ["before", "binary", "pass_rate", "pass_rate minus binary, by seed", "would show"]
    return in_markdown([*titles, "by problem", "would show"], table)


def cells_of_pair(values: np.ndarray, ways: int) -> list[str]:
    """Of two conditions' values [2, seeds, P]: each; and their difference, with the smallest that would show, its
    interval over the seeds, or also (two ways) over the problems."""
    cells = [in_brackets(seed_interval(of_condition)) for of_condition in values]
    difference = values[1] - values[0]
    for interval in map(seed_interval, (difference, difference.T)[:ways]):
        cells += [in_brackets(interval, "+"), f"{interval['detectable']:.3f}"]
    return cells


def remedies_figure(file: Path) -> None:
    """Section 5: final pass@1 of each remedy, minus binary's."""
    bases = remedies_of_bases()
    figure, axes = diagnostics.pyplot().subplots(1, len(bases), figsize=(9.5, 3.6), sharey=True)
    for axis, (name, lines) in zip(axes, bases.items(), strict=True):
        for line in lines[1:]:
            place = REMEDIES_IN_WORDS.index(line["words"])
            mean, low, high = (line["difference"]["pass@1"][end] for end in ("mean", "low", "high"))
            color = "#b2182b" if high < 0 else "#2166ac" if low > 0 else "0.5"
            axis.errorbar(mean, -place, xerr=[[mean - low], [high - mean]], color=color, marker="o", capsize=2)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.grid(visible=False, axis="y")
        axis.set(title=f"{name} base", xlabel="final pass@1, minus binary's 12 × 8")
    axes[0].set_yticks([-place for place in range(1, len(REMEDIES_IN_WORDS))], REMEDIES_IN_WORDS[1:], fontsize=9)
    diagnostics.save_figure(figure, file)


def remedies_curves(file: Path) -> None:
    """Section 5: held-out pass@1 of each remedy over its run, mean of the seeds, beside binary's: a panel a remedy."""
    bases = remedies_of_bases()
    figure, axes = diagnostics.pyplot().subplots(4, 4, figsize=(9.5, 8), sharex=True, sharey=True)
    for axis, words in zip(axes.flat, REMEDIES_IN_WORDS[1:], strict=True):
        for name, (binary, *lines) in bases.items():
            for line in [binary, *(line for line in lines if line["words"] == words)]:
                _, steps, values = line["curve"]
                of_binary = {"linestyle": ":", "linewidth": 1.2} if line is binary else {"label": f"{name} base"}
                axis.plot(steps, values.mean(0), color=SHADES[name], **of_binary)
        axis.set_title(textwrap.fill(words, 30), fontsize=9)
    names = axes[0, 0].get_legend_handles_labels()
    figure.legend(*names, loc="outside upper center", ncols=2, fontsize=9, title="dotted: binary, 12 × 8")
    figure.supxlabel("step", fontsize=10)
    figure.supylabel("held-out pass@1", fontsize=10)
    diagnostics.save_figure(figure, file)


SHADES = dict(zip(STRENGTHS, ("#08306b", "#2171b5", "#6baed6", "#e6550d"), strict=True))  # of the bases in figures


def steps_figure(bases: dict[str, list[dict]], file: Path) -> None:
    """Claim (iii): how often one step makes a full pass likelier where the group has none, beside its controls."""
    bases = {name: rows for name, rows in bases.items() if interval_of(gaining(rows, "gain"))}
    figure, axis = diagnostics.pyplot().subplots(figsize=(6.5, 3.2))
    for side, name, label, color in (
        (-0.22, "gain", "pass_rate", minirl.COLORS["pass_rate"]),
        (0.0, "shuffled", "its advantages, shuffled", "0.6"),
        (0.22, "random", "random advantages", "0.8"),
    ):
        mean, low, high = np.array([interval_of(gaining(rows, name)) for rows in bases.values()]).T
        places = np.arange(len(bases)) + side
        axis.bar(places, mean, 0.2, color=color, label=label)
        axis.errorbar(places, mean, [mean - low, high - mean], fmt="none", ecolor="black", capsize=2, linewidth=1)
    axis.set_xticks(range(len(bases)), [f"{name} base" for name in bases])
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axis.set(ylim=(0, 1.25), ylabel="share of groups")
    axis.set_title("No full pass in the group: does a step of the pass rate help?")
    axis.legend(ncols=3, loc="upper center", fontsize=8)
    axis.grid(visible=False, axis="x")
    axis.set_axisbelow(True)
    diagnostics.save_figure(figure, file)


def calibration_figure(bases: dict[str, list[dict]], file: Path) -> None:
    """Claim (iv): a reliability diagram. Were the pass rate calibrated, the points would lie on the diagonal."""
    figure, axes = diagnostics.pyplot().subplots(1, 2, figsize=(8, 3.6), sharey=True)
    edges = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0))
    for axis, truth, words in (
        (axes[0], "prefix", "completed to a full pass by the model"),
        (axes[1], "slots", "share of its slots that are right"),
    ):
        axis.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1)
        axis.text(0.8, 0.86, {"prefix": "calibrated", "slots": "as many as tests"}[truth], ha="right", fontsize=9)
        if truth == "slots":  # two of three
            axis.axhline(2 / 3, color="0.5", linewidth=1)
            axis.text(0.02, 0.69, "the most that a wrong sample can have", color="0.4", fontsize=8)
        for i, (name, rows) in enumerate(bases.items()):
            found = wrong_samples(rows)[truth]
            points = [(low + 0.1, interval_of(truths_between(found, low, high))) for low, high in edges]
            x, mean, low, high = np.array([(x + 0.012 * (i - 1.5), *y) for x, y in points if y]).T
            style = {"color": SHADES[name], "marker": "o", "markersize": 4, "capsize": 2}
            axis.errorbar(x, mean, [mean - low, high - mean], label=name, **style)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="pass rate of a wrong sample", title=words)
    axes[0].legend(fontsize=8, title="base model", title_fontsize=8, loc="upper left")
    diagnostics.save_figure(figure, file)


def conflict_figure(bases: dict[str, list[dict]], file: Path) -> None:
    """Claim (v): of the pairs of different programs, by class, those that push together under the pass rate and those
    that push apart; and, as a control, of all others."""
    figure, axes = diagnostics.pyplot().subplots(1, len(bases), figsize=(9.5, 2.8), sharey=True)
    for axis, (name, rows) in zip(axes, bases.items(), strict=True):
        for place, kind in enumerate(KINDS):
            for sign, share, color in ((-1, "below", "#b2182b"), (1, "above", "#2166ac")):
                if found := interval_of(of_pairs(rows, kind, share, "pushes")):
                    mean, low, high = found
                    axis.barh(-place, sign * mean, 0.7, color=color)
                    axis.plot([sign * low, sign * high], [-place] * 2, color="black", linewidth=1)
                    control = interval_of(of_other_pairs(rows, kind, share, "pushes"))[0]
                    axis.plot([sign * control] * 2, [-place - 0.45, -place + 0.45], color="black", linestyle=":")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(title=f"{name} base", xlim=(-1, 1))
        axis.set_axisbelow(True)
        axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["1", "0.5", "0", "0.5", "1"])
        axis.set_yticks([-place for place in range(len(KINDS))], KINDS)
    words = "pairs of pushes with a cosine below -0.1 (red) and above +0.1 (blue); dotted: all other pairs there"
    figure.supxlabel(words, fontsize=10)
    diagnostics.save_figure(figure, file)


def front_figure(file: Path) -> None:
    """The front page's picture, from the study: under the pass rate nearly all groups of 8 have a signal before
    training, and at its end pass@1 is no higher."""
    results = json.loads(STUDY_FILE.read_text())
    lines = lines_of_study(results)
    noises = list(dict.fromkeys(noise for noise, *_ in lines))
    figure, panels = diagnostics.pyplot().subplots(1, 2, figsize=(8, 3.3))
    for side, reward in ((-0.2, "binary"), (0.2, "pass_rate")):
        signal = [seed_interval(live_before(results, noise, reward)) for noise in noises]
        final = [lines[noise, "grpo", reward, None]["pass@1"] for noise in noises]
        for axis, values in zip(panels, (signal, final), strict=True):
            mean, low, high = (np.array([value[name] for value in values]) for name in ("mean", "low", "high"))
            places = np.arange(len(noises)) + side
            axis.bar(places, mean, 0.38, color=minirl.COLORS[reward], label=reward)
            axis.errorbar(places, mean, [mean - low, high - mean], fmt="none", ecolor="black", capsize=3, linewidth=1.2)
            for x, y, top in zip(places, mean, high, strict=True):
                axis.text(x, top + 0.02, f"{y:.2f}", ha="center", fontsize=9)
    before = [lines[noise, "grpo", "binary", None]["before"]["mean"] for noise in noises]
    names = [f"{name_of_base(noise)}\n{x:.2g}" for noise, x in zip(noises, before, strict=True)]
    panels[0].set(title="Far more groups have a signal ...", ylabel="share of groups with a signal", ylim=(0, 1.2))
    panels[1].set(title="... and pass@1 ends no higher", ylabel="held-out pass@1 at the end", ylim=(0, 1.2))
    for axis in panels:
        axis.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        axis.set_xticks(range(len(noises)), names)
        axis.set_xlabel("base model, and its pass@1")
        axis.grid(visible=False, axis="x")
        axis.set_axisbelow(True)
    panels[1].legend(loc="upper right", title="trained on")
    diagnostics.save_figure(figure, file)


def live_before(results: dict, noise: float, reward: str) -> np.ndarray:
    """Has the group of a held-out problem's 8 samples a signal before training? [seeds, P]"""
    found = []
    for condition, rows in rows_of_conditions(results):
        wanted = {"toy_noise": noise, "algorithm": "grpo", "reward": reward}
        for row in rows if wanted.items() <= condition.items() and "lr" not in condition else []:
            rates = torch.tensor(row["evaluations"]["0"]) / torch.tensor(row["tests"])[:, None]  # [P, G]
            rewards = rates if reward == "pass_rate" else (rates == 1).float()
            found.append(~minirl.is_dead(rewards)[:, 0].numpy())
    return np.array(found).astype(float)


def report() -> None:
    """What is not in the tables."""
    for strength, of_base in bases_of_strength().items():
        print(f"\n# {strength}: {len(of_base)} base models\n")
        print("groups with a signal (theory: 1 - (1 - p)^G - p^G with the mean p, binary)")
        for size in (4, 8, 16, 32):
            names = ("binary", "pass_rate", "hard_tests")
            shown = ", ".join(f"{name} {mean_of(density(of_base, name, size))}" for name in names)
            print(f"  G {size:2}: {shown}; theory {theory(of_base, size):.2f}")
        print("passed by wrong samples: " + ", ".join(f"{k} {v}" for k, v in misleading(of_base).items()))
        for name, of_rows in wrong_samples(of_base).items():
            bins = diagnostics.reliability(*np.array([x for row in of_rows for x in row]).T)["bins"]
            print(f"pass rate: mean {name} (samples)   " + "  ".join(f"{x:.2f}: {y:.2f} ({n})" for x, y, n in bins))
        for name in ("mass", "p_full", "cosine"):
            print(f"exact: {name} {mean_of(of_exact(of_base, lambda x, name=name: x[name]))}")
        print("exact, by group size: cosine of mean / agreement / cosine with the gradient of P(full pass)")
        for reward, size in itertools.product(MAIN, ("4", "8", "16")):
            names = ("cosine_of_mean", "agreement", "cosine_to_target")
            cells = [of_exact(of_base, lambda x, n=n, r=reward, s=size: x["rewards"][r][s][n]) for n in names]
            print(f"  {reward:10} G {size:2}  " + " / ".join(map(mean_of, cells)))
        for kind in KINDS:
            print(f"inner product {kind}: {mean_of(of_pairs(of_base, kind, 'product'), 6)}")
        kinds = [(name, None) for name in ("kept", "kept_if_orthogonal", "from_partial")]
        kinds += itertools.product(("cosine_to_target", "gain", "shuffled", "random"), (True, False))
        for reward, (name, has_full) in itertools.product(MAIN, kinds):
            words = {None: "", True: ", full pass in the group", False: ", no full pass in the group"}[has_full]
            print(f"{reward:10} {name}{words}: {mean_of(of_reports(of_base, reward, name, has_full))}")


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        measure_all()
    elif len(sys.argv) == 4 and sys.argv[1] == "model":
        measure_model(*map(Path, sys.argv[2:]))
    elif sys.argv[1:] == ["table"]:
        bases = bases_of_strength()
        made = [in_markdown(list(STRENGTHS), rows) for rows in tables(bases)]
        made += [
            table_of_pairs(bases["middling"]),
            table_of_study(),
            table_of_model(),
            table_of_pretrained(),
            *tables_of_remedies(),
        ]
        print("\n\n".join(made))
    elif sys.argv[1:] == ["figures"]:
        front_figure(RESULTS / "density.png")
        measured = bases_of_strength()
        steps_figure(measured, RESULTS / "steps.png")
        calibration_figure(measured, RESULTS / "calibration.png")
        conflict_figure(measured, RESULTS / "conflict.png")
        remedies_figure(RESULTS / "remedies.png")
        remedies_curves(RESULTS / "remedies_curves.png")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        report()
