"""The claims about rewards, measured: density, calibration and gradients, on the base models of the study.

    python tutorials/claims.py measure     20 minutes on two cores; what is there is kept
    python tutorials/claims.py model NAME  the gradients of a pretrained model, 9 minutes for 135M
    python tutorials/claims.py             every number again, from the saved measurements
    python tutorials/claims.py table       the table of results/README.md, from these and the study's results
    python tutorials/claims.py figure      results/density.png, the figure of the front page, from the same numbers

Measurements are in results/claims.json, a row a base model (toy noise and seed): the outcomes of 32 samples for each of
48 training problems, how far each sample is from a full pass, and reports on gradients for some of them.
"""

import concurrent.futures
import functools
import json
import math
import multiprocessing
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import diagnostics
import numpy as np
import torch
from study import STUDY, crossed_interval, study_summary
from tqdm import tqdm

import minirl
from minirl import REWARDS  # all ten: study.py enters those of rewards.py

RESULTS = Path(__file__).parent / "results"
FILE, MODEL_FILE = RESULTS / "claims.json", RESULTS / "smollm2_gradients.json"
STUDY_FILE = RESULTS / "study" / "results.json"
PROBLEMS, SAMPLES, GROUP = 48, 32, 16
WITH_DISTANCES, WITH_GRADIENTS, WITH_EXACT, WITH_PREFIXES = 24, 16, 4, 16  # of these problems
NOISES = (0.65, 0.47, 0.3)
MODEL_REWARDS = ("binary", "pass_rate", "gated")


def measure(noise: float, seed: int) -> dict:
    """The row of one base model."""
    torch.set_num_threads(1)
    policy = minirl.load_policy("toy", toy_noise=noise, toy_seed=seed)
    problems = minirl.toy_problems("train")[:PROBLEMS]
    row = {"toy_noise": noise, "seed": seed, "task_ids": [problem.task_id for problem in problems]}
    with minirl.Sandbox(2) as sandbox:
        rollout = minirl.sample(policy, problems, SAMPLES, seed=seed)
        outcomes, mask = minirl.grade(problems, rollout, sandbox)
        row["outcomes"] = [["".join("01"[x] for x in sample) for sample in group] for group in outcomes.int().tolist()]
        row["distances"] = []
        for p, texts in enumerate(rollout.completions[:WITH_DISTANCES]):
            row["distances"].append([distances(p).get(text) for text in texts])  # None: not of the grammar
        row["prefixes"] = prefixes(policy, problems, rollout, outcomes, mask, sandbox, seed)
        row["gradients"] = gradients(policy, problems, rollout, outcomes, mask, lr=STUDY["settings"]["lr"])
        row["exact"] = [
            diagnostics.exact_report(policy, problem, sandbox, group_sizes=(4, 8, 16), seed=seed)
            for problem in problems[:WITH_EXACT]
        ]
    return row


@functools.cache
def distances(p: int) -> dict[str, int]:
    """For every program of the grammar on the p-th problem: how many slots separate it from a full pass."""
    problem = minirl.toy_problems("train")[p]
    programs = diagnostics.grammar_programs(problem)
    with minirl.Sandbox(2) as sandbox:
        results = sandbox.map([problem.program(text, verbatim=True) for text in programs])
        passed = torch.tensor([result.passed for result in results])
    return dict(zip(programs, diagnostics.slot_distances(problem, passed).tolist(), strict=True))


def prefixes(policy, problems, rollout, outcomes, mask, sandbox, seed) -> list[dict]:
    """For up to four wrong samples a problem of different pass rates: how often their prefixes can be completed."""
    rates, found = minirl.pass_rate(outcomes, mask), []
    for p, problem in enumerate(problems[:WITH_PREFIXES]):
        of_rate = {float(rate): g for g, rate in enumerate(rates[p]) if rate < 1}
        ranked = sorted(of_rate)
        chosen = [of_rate[ranked[i]] for i in sorted({round(x) for x in np.linspace(0, len(ranked) - 1, 4)})]
        texts = [rollout.completions[p][g] for g in chosen]
        values = diagnostics.prefix_values(policy, problem, texts, sandbox, samples=16, seed=seed)
        found += [
            {"problem": p, "pass_rate": float(rates[p, g]), "values": values[i].tolist()} for i, g in enumerate(chosen)
        ]
    return found


def gradients(policy, problems, rollout, outcomes, mask, *, lr, algorithms=("grpo", "rloo"), **settings) -> list[dict]:
    """Reports on groups of 16 of the samples; settings are gradient_report's."""
    names = ("completion_ids", "completion_mask", "logprobs", "entropy")
    groups = replace(rollout, **{name: getattr(rollout, name)[:, :GROUP] for name in names})
    outcomes, mask, found = outcomes[:, :GROUP], mask[:, :GROUP], []
    for p in range(WITH_GRADIENTS):
        reports = {}
        for algorithm in algorithms:
            settings["config"] = minirl.Config(algorithm=algorithm, lr=lr)
            report = diagnostics.gradient_report(policy, problems[p], groups, outcomes, mask, p, **settings)
            reports[algorithm] = report["rewards"]
        ids = [tuple(x[m].tolist()) for x, m in zip(groups.completion_ids[p], groups.completion_mask[p], strict=True)]
        firsts = [ids.index(x) == i for i, x in enumerate(ids)]  # the same program twice agrees with itself
        rates, cosines = report["pass_rates"], np.array(report["cosines"])
        kinds = {
            "partial": [i for i, rate in enumerate(rates) if firsts[i] and 0 < rate < 1],
            "full": [i for i, rate in enumerate(rates) if firsts[i] and rate == 1],
            "any": [i for i, first in enumerate(firsts) if first],
        }
        pairs = {}
        for a, b in (("partial", "partial"), ("partial", "full"), ("any", "any")):
            values = [cosines[i, j] for i in kinds[a] for j in kinds[b] if i < j or a != b]
            pairs[f"{a}-{b}"] = float(np.mean(values)) if values else None
        found.append({"problem": p, "has_full_pass": report["has_full_pass"], "pairs": pairs, "reports": reports})
    return found


def measure_model(name: str) -> None:
    """Groups of a pretrained model, asked as in real_models.md. Cosines: its last layer; gains: all parameters."""
    policy = minirl.load_policy(name)
    problems = minirl.toy_problems("train", levels=(1, 2))[:WITH_GRADIENTS]
    rollout = minirl.sample(policy, problems, GROUP, temperature=0.6, max_new_tokens=64)
    with minirl.Sandbox() as sandbox:
        outcomes, mask = minirl.grade(problems, rollout, sandbox)
    last = f"layers.{policy.model.config.num_hidden_layers - 1}."
    settings = {"algorithms": ["grpo"], "rewards": MODEL_REWARDS, "lr": 2e-5, "only": last}
    row = {"gradients": gradients(policy, problems, rollout, outcomes, mask, **settings)}
    minirl.write_text(MODEL_FILE, json.dumps(_rounded(row), separators=(",", ":")))


def measure_all() -> None:
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    done = {(row["toy_noise"], row["seed"]) for row in rows}
    missing = [(noise, seed) for seed in STUDY["seeds"] for noise in NOISES if (noise, seed) not in done]
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context) as pool:
        tasks = [pool.submit(measure, *cell) for cell in missing]
        for task in tqdm(concurrent.futures.as_completed(tasks), total=len(tasks), unit="base model"):
            rows.append(task.result())
            rows.sort(key=lambda row: (-row["toy_noise"], row["seed"]))
            minirl.write_text(FILE, json.dumps(_rounded(rows), separators=(",", ":")))


def _rounded(value):
    """Four significant digits, and None for what is undefined: JSON has no nan."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


# What the rows say. A number is a mean over base models (seeds) and problems; its 95 % interval a bootstrap over both.


def outcomes_of(row: dict) -> torch.Tensor:
    return torch.tensor([[[int(x) for x in sample] for sample in group] for group in row["outcomes"]], dtype=torch.bool)


def mean_of(values: list[list[float | None]]) -> str:
    """[seeds][problems], some None -> "mean [low, high]"; a problem without a value in some seed is left out there."""
    table = np.array([[math.nan if value is None else value for value in row] for row in values], dtype=float)
    mean, low, high = crossed_interval(table)
    return "-" if math.isnan(mean) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def density(rows: list[dict], group_size: int) -> dict[str, str]:
    """The share of groups with a signal, for each reward."""
    shares = {name: [] for name in REWARDS}
    for row in rows:
        outcomes = outcomes_of(row)
        groups = outcomes[:, : SAMPLES // group_size * group_size].unflatten(1, (-1, group_size))
        for name, reward in REWARDS.items():
            live = [~minirl.is_dead(reward(x, torch.ones_like(x)))[:, 0] for x in groups]
            shares[name].append([float(x.float().mean()) for x in live])
    return {name: mean_of(values) for name, values in shares.items()}


def density_in_training(runs: list[dict], quarter: int) -> str:
    """The share of groups with a signal in a quarter (0 to 3) of the training of these runs, one a seed."""
    curves = [np.array(run["training"]["dead_groups"]) for run in runs]
    return mean_of([[1 - float(np.array_split(curve, 4)[quarter].mean())] for curve in curves])


def misleading(rows: list[dict]) -> dict[str, str]:
    """Which tests do samples pass that are no full pass? The empty input, the others, and each problem's worst."""
    shares = [diagnostics.misleading_tests(x := outcomes_of(row), torch.ones_like(x)) for row in rows]
    parts = {"the empty input": [x[:, 0] for x in shares], "other tests": [x[:, 1:].mean(-1) for x in shares]}
    parts["a problem's most misleading test"] = [x.amax(-1) for x in shares]
    for family in minirl.FAMILIES:
        members = torch.tensor([task_id.startswith(family) for task_id in rows[0]["task_ids"]])
        parts[f"any test of {family}"] = [x[members].mean(-1) for x in shares]
    return {name: mean_of([part.tolist() for part in of_rows]) for name, of_rows in parts.items()}


def theory(rows: list[dict], group_size: int) -> float:
    """What 1 - (1 - p)^G - p^G says if all problems had the mean p."""
    p = np.mean([minirl.binary(x := outcomes_of(row), torch.ones_like(x)).mean() for row in rows])
    return diagnostics.live_groups(float(p), group_size)


def wrong_samples(rows: list[dict]) -> dict[str, list[list[tuple[float, float, int]]]]:
    """(pass rate, nearness to a full pass, problem) of wrong samples: by measure of nearness, by row."""
    found = {"distance": [], "prefix": []}
    for row in rows:
        rates = minirl.pass_rate(x := outcomes_of(row), torch.ones_like(x)).tolist()
        known = [(p, g, d) for p, group in enumerate(row["distances"]) for g, d in enumerate(group) if d is not None]
        found["distance"].append([(rates[p][g], -distance, p) for p, g, distance in known if rates[p][g] < 1])
        found["prefix"].append([(x["pass_rate"], float(np.mean(x["values"])), x["problem"]) for x in row["prefixes"]])
    return found


def rank_correlation(of_rows: list[list[tuple[float, float, int]]]) -> str:
    """Of pass rate and nearness, within each problem: that some problems are easy must not make it look better."""
    problems = [[[x[:2] for x in row if x[2] == p] for p in range(PROBLEMS)] for row in of_rows]
    return mean_of([[diagnostics.spearman(*np.array(x).T) if x else None for x in row] for row in problems])


def of_reports(rows: list[dict], algorithm: str, reward: str, name: str, has_full: bool | None = None) -> str:
    values = []
    for row in rows:
        groups = [
            group["reports"][algorithm][reward][name] if has_full in (None, group["has_full_pass"]) else None
            for group in row["gradients"]
        ]
        values.append(groups)
    return mean_of(values)


Rows = list[tuple[str, list[str]]]  # of the table: a label, and a cell for each strength of the base model


def table() -> str:
    """What results/README.md says of each claim, in numbers: a column for each strength of the base model."""
    rows = json.loads(FILE.read_text())
    bases = [[row for row in rows if row["toy_noise"] == noise] for noise in NOISES]
    summary = study_summary(json.loads(STUDY_FILE.read_text()))
    of_study = {tuple(line["condition"][k] for k in ("toy_noise", "algorithm", "reward")): line for line in summary}
    all_rows = [
        *density_before(bases, of_study),
        ("(ii) final pass@1, pass_rate minus binary: GRPO", final(of_study, "grpo", "pass_rate")),
        ("... RLOO", final(of_study, "rloo", "pass_rate")),
        ("... Dr. GRPO", final(of_study, "dr_grpo", "pass_rate")),
        *steps_and_calibration(bases),
        *conflict(bases),
        ("(vi) area under the pass@1 curve, pass_rate minus binary: GRPO", area(of_study, "grpo", "pass_rate")),
        ("... RLOO", area(of_study, "rloo", "pass_rate")),
    ]
    for reward in ("gated", "hard_tests", "near_miss"):
        all_rows.append((f"(vii) final pass@1, {reward} minus binary: GRPO", final(of_study, "grpo", reward)))
        all_rows.append(("... RLOO", final(of_study, "rloo", reward)))
    lines = ["| | toy noise " + " | ".join(map(str, NOISES)) + " |", "|---" * (len(NOISES) + 1) + "|"]
    return "\n".join(lines + [f"| {label} | " + " | ".join(cells) + " |" for label, cells in all_rows])


def density_before(bases: list[list[dict]], of_study: dict[tuple, dict]) -> Rows:
    """Where the bases begin, and claim (i)."""
    before = ["{:.3f} [{:.3f}, {:.3f}]".format(*of_study[noise, "grpo", "binary"]["before"]) for noise in NOISES]
    live = [density(rows, 8) for rows in bases]
    return [
        ("base model's held-out pass@1", before),
        ("(i) groups of 8 with a signal: binary", [shares["binary"] for shares in live]),
        ("... pass_rate", [shares["pass_rate"] for shares in live]),
    ]


def final(of_study: dict[tuple, dict], algorithm: str, reward: str) -> list[str]:
    """The paired difference to binary at the end of training, and in how many pairs the reward is above."""
    lines = [of_study.get((noise, algorithm, reward)) for noise in NOISES]
    shown = "{:+.3f} [{:+.3f}, {:+.3f}], {above} of {pairs}"
    return [shown.format(*line["difference"]["pass@1"], **line["difference"]) if line else "" for line in lines]


def area(of_study: dict[tuple, dict], algorithm: str, reward: str) -> list[str]:
    """The same of the area under the curve. Between two evaluations it would say nothing new."""
    lines = [of_study[noise, algorithm, reward] for noise in NOISES]
    shown = "{:+.3f} [{:+.3f}, {:+.3f}]"
    return [shown.format(*x["difference"]["area"]) if len(x["curves"][0]) > 2 else "" for x in lines]


def of_groups(bases: list[list[dict]], name: str, reward: str, has_full: bool) -> list[str]:
    """A number of gradient_report, over the groups with a full pass or without one."""
    return [of_reports(rows, "grpo", reward, name, has_full) for rows in bases]


def steps_and_calibration(bases: list[list[dict]]) -> Rows:
    """Claims (iii) and (iv)."""
    wrong = [wrong_samples(rows) for rows in bases]
    return [
        (
            "(iii) nats that a solution gains by one step: pass_rate, no full pass in the group",
            of_groups(bases, "gain", "pass_rate", False),
        ),
        ("... share of these groups in which it gains", [gaining(rows) for rows in bases]),
        ("... pass_rate, with a full pass", of_groups(bases, "gain", "pass_rate", True)),
        ("... binary, with a full pass", of_groups(bases, "gain", "binary", True)),
        (
            "(iv) rank correlation of a wrong sample's pass rate with its nearness in slots",
            [rank_correlation(found["distance"]) for found in wrong],
        ),
        ("... with how often the model completes its prefixes", [rank_correlation(found["prefix"]) for found in wrong]),
    ]


def conflict(bases: list[list[dict]]) -> Rows:
    """Claim (v): how alike the gradients of samples are, what the sum leaves of them, and where it points."""

    def pairs(kind: str) -> list[str]:
        return [mean_of([[group["pairs"][kind] for group in row["gradients"]] for row in rows]) for rows in bases]

    def exact(value) -> list[str]:
        return [mean_of([[value(problem) for problem in row["exact"]] for row in rows]) for rows in bases]

    return [
        ("(v) cosine of two partial passes' gradients", pairs("partial-partial")),
        ("... of a partial and a full pass's", pairs("partial-full")),
        ("... of any two different samples'", pairs("any-any")),
        (
            "... what is left of all pushes: pass_rate, no full pass in the group",
            of_groups(bases, "cancellation", "pass_rate", False),
        ),
        ("... and what orthogonal gradients would leave", of_groups(bases, "orthogonal", "pass_rate", False)),
        ("... pass_rate, with a full pass", of_groups(bases, "cancellation", "pass_rate", True)),
        ("... and what orthogonal gradients would leave", of_groups(bases, "orthogonal", "pass_rate", True)),
        (
            "... cosine of the update with the solution's gradient: pass_rate, no full pass",
            of_groups(bases, "alignment", "pass_rate", False),
        ),
        ("... pass_rate, with a full pass", of_groups(bases, "alignment", "pass_rate", True)),
        ("... binary, with a full pass", of_groups(bases, "alignment", "binary", True)),
        (
            "... cosine of the exact gradients of P(full pass) and E[pass rate]",
            exact(lambda problem: problem["cosine"]),
        ),
        (
            "... agreement of groups of 8 with their expected update: pass_rate",
            exact(lambda problem: problem["rewards"]["pass_rate"]["8"]["agreement"]),
        ),
        ("... binary, where it has a signal", exact(lambda problem: problem["rewards"]["binary"]["8"]["agreement"])),
    ]


def gaining(rows: list[dict]) -> str:
    """Of the live groups without a full pass: the share whose pass-rate update makes the solution likelier."""
    values = []
    for row in rows:
        gains = [(g["has_full_pass"], g["reports"]["grpo"]["pass_rate"]["gain"]) for g in row["gradients"]]
        values.append([None if has_full or not gain else float(gain > 0) for has_full, gain in gains])
    return mean_of(values)


def front_figure(file: Path) -> None:
    """The front page's picture: under the pass rate nearly all groups have a signal, and final pass@1 is no higher."""
    rows, summary = json.loads(FILE.read_text()), study_summary(json.loads(STUDY_FILE.read_text()))
    live = [density([row for row in rows if row["toy_noise"] == noise], 8) for noise in NOISES]
    of_study = {tuple(line["condition"][k] for k in ("toy_noise", "algorithm", "reward")): line for line in summary}
    figure, panels = diagnostics.pyplot().subplots(1, 2, figsize=(8, 3.3))
    for side, reward in ((-0.2, "binary"), (0.2, "pass_rate")):
        signal = [[float(x) for x in re.findall(r"[\d.]+", shares[reward])] for shares in live]  # the table's cells
        final = [of_study[noise, "grpo", reward]["pass@1"] for noise in NOISES]
        for axis, values in zip(panels, (signal, final), strict=True):
            mean, low, high = np.array(values).T
            places = np.arange(len(NOISES)) + side
            axis.bar(places, mean, 0.38, color=minirl.COLORS[reward])
            axis.errorbar(places, mean, [mean - low, high - mean], fmt="none", ecolor="black", capsize=3, linewidth=1.2)
            for x, y, top in zip(places, mean, high, strict=True):
                axis.text(x, top + 0.02, f"{y:.2f}", ha="center", fontsize=10)
        # The name stands above the first bar of its colour, instead of a legend.
        panels[0].text(1.2 * side, signal[0][2] + 0.11, reward, color=minirl.COLORS[reward], ha="center", fontsize=12)
    before = [of_study[noise, "grpo", "binary"]["before"][0] for noise in NOISES]
    names = [f"{name} base\n(pass@1 {x:.2f})" for name, x in zip(("weak", "middling", "strong"), before, strict=True)]
    panels[0].set(title="Far more groups have a signal ...", ylabel="share of groups with a signal", ylim=(0, 1.2))
    panels[1].set(title="... and pass@1 ends no higher", ylabel="held-out pass@1 at the end", ylim=(0, 0.8))
    panels[0].set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    for axis in panels:
        axis.set_xticks(range(len(NOISES)), names)
        axis.grid(visible=False, axis="x")
        axis.set_axisbelow(True)
    diagnostics.save_figure(figure, file)


def report() -> None:
    rows = json.loads(FILE.read_text())
    for noise in dict.fromkeys(row["toy_noise"] for row in rows):
        report_on([row for row in rows if row["toy_noise"] == noise])
    if MODEL_FILE.exists():
        print("\n# SmolLM2-135M-Instruct\n")
        report_gradients([json.loads(MODEL_FILE.read_text())], ["grpo"], MODEL_REWARDS)


def report_on(rows: list[dict]) -> None:
    print(f"\n# toy noise {rows[0]['toy_noise']}: {len(rows)} base models\n")
    print("groups with a signal (theory: 1 - (1 - p)^G - p^G with the mean p, binary)")
    for size in (4, 8, 16, 32):
        cells = density(rows, size)
        shown = ", ".join(f"{name} {cells[name]}" for name in ("binary", "pass_rate", "hard_tests"))
        print(f"  G {size:2}: {shown}; theory {theory(rows, size):.2f}")
    runs = json.loads(STUDY_FILE.read_text())["runs"]
    print("groups with a signal, quarter by quarter of the study's training, GRPO, groups of 8")
    for reward in ("binary", "pass_rate", "gated"):
        known = {"toy_noise": rows[0]["toy_noise"], "algorithm": "grpo", "reward": reward}
        of_reward = [row for row in runs if known.items() <= row["run"].items()]
        print(f"  {reward:10} " + "  ".join(density_in_training(of_reward, quarter) for quarter in range(4)))
    print("passed by samples that are no full pass: " + ", ".join(f"{k} {v}" for k, v in misleading(rows).items()))
    for name, of_rows in wrong_samples(rows).items():
        bins = diagnostics.reliability(*np.array([x for row in of_rows for x in row]).T)["bins"]
        print(f"pass rate against {name}, rank correlation {rank_correlation(of_rows)}; pass rate: mean (samples)")
        print("  " + "  ".join(f"{x:.2f}: {y:.2f} ({n})" for x, y, n in bins))
    report_gradients(rows)
    for name in ("mass", "p_full", "cosine"):
        print(f"exact: {name} {mean_of([[problem[name] for problem in row['exact']] for row in rows])}")
    print("exact, by group size: bias / agreement / cosine with the gradient of P(full pass)")
    for reward in REWARDS:
        for size in ("4", "8", "16"):
            of_size = [[problem["rewards"][reward][size] for problem in row["exact"]] for row in rows]
            names = ("bias", "agreement", "cosine")
            cells = [mean_of([[cell[name] for cell in row] for row in of_size]) for name in names]
            print(f"  {reward:10} G {size:2}  " + " / ".join(cells))


def report_gradients(rows: list[dict], algorithms=("grpo", "rloo"), rewards=tuple(REWARDS)) -> None:
    for pair in ("partial-partial", "partial-full", "any-any"):
        print(f"cosine {pair} {mean_of([[group['pairs'][pair] for group in row['gradients']] for row in rows])}")
    kinds = [("cancellation", None), ("orthogonal", None), ("partial", None)]
    kinds += [(name, has_full) for name in ("alignment", "gain") for has_full in (True, False)]
    headings = [name + {None: "", True: ", full", False: ", none"}[has_full] for name, has_full in kinds]
    for algorithm in algorithms:
        print(f"{algorithm:10} " + " ".join(f"{heading:>20}" for heading in headings))
        for reward in rewards:
            cells = [of_reports(rows, algorithm, reward, *kind) for kind in kinds]
            print(f"{reward:10} " + " ".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        measure_all()
    elif len(sys.argv) == 3 and sys.argv[1] == "model":
        measure_model(sys.argv[2])
    elif sys.argv[1:] == ["table"]:
        print(table())
    elif sys.argv[1:] == ["figure"]:
        front_figure(RESULTS / "density.png")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        report()
