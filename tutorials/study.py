"""A study: a grid of training runs with paired seeds, its table and its figure.

    python tutorials/study.py --quick              binary, pass_rate and gated, two seeds: some minutes
    python tutorials/study.py MY_STUDY.json        yours: the conditions are the combinations of each grid
    python tutorials/study.py                      the one of tutorials/results/study: about 80 minutes
    python tutorials/study.py --out FOLDER         goes on with it, or evaluates it again if it is whole

A study is a file such as

    {"grids": [{"reward": ["binary", "gated", "my_file.mine"], "algorithm": ["grpo", "rloo"]}],
     "seeds": [0, 1, 2, 3],
     "settings": {"toy_noise": 0.65, "steps": 80, "eval_every": 20},
     "tune": {"lr_factors": [0.5, 1, 2], "seed": 100}}

run_study says what its fields mean; settings are minirl.Config's. Notebook 04 reads the results of one critically.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import hashlib
import itertools
import json
import math
import multiprocessing
import os
import re
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diagnostics import group_census, pyplot, save_figure
from rewards import OTHER_COLORS, OTHER_REWARDS
from tqdm import tqdm

from minirl import (
    COLORS,
    REWARDS,
    Config,
    UsageError,
    count_cores,
    find_checkpoint,
    find_reward,
    load_policy,
    outcomes_of_rows,
    pass_at_k,
    read_jsonl,
    train,
    write_text,
)
from sandbox import Program, Result, Sandbox, SandboxError, Verdict

# A study calls the six rewards of rewards.py by their short names. So they are entered here: the processes that run the
# study import this file, too.
REWARDS.update(OTHER_REWARDS)
COLORS.update(OTHER_COLORS)

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

# ----------------------------------------------------------------------------------------------------------------------
# The grid: conditions, seeds, and the runs that choose a learning rate


def conditions_of(study: dict[str, Any]) -> list[dict[str, Any]]:
    """What a study compares: every combination of the values of each of its grids, without the seed."""
    grids = study["grids"]
    return [dict(zip(grid, values, strict=True)) for grid in grids for values in itertools.product(*grid.values())]


def seeded_runs(study: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of all conditions: every seed of each, seed by seed."""
    return [condition | {"seed": seed} for seed in study["seeds"] for condition in conditions_of(study)]


def tuning_runs(study: dict[str, Any], condition: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of which the best one tells the learning rate of a condition; conditions may share them."""
    tune = dict(study.get("tune", {}))
    factors = tune.pop("lr_factors", [])
    rate = Config(**study.get("settings", {}) | condition).lr
    return [condition | tune | {"lr": rate * factor} for factor in factors]


def all_tuning_runs(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of all conditions, each once."""
    runs = [run for condition in conditions_of(study) for run in tuning_runs(study, condition)]
    return [run for i, run in enumerate(runs) if run not in runs[:i]]


def tuning_score(row: dict[str, Any]) -> float:
    """The share of full passes in the last quarter of training. No held-out problem is looked at."""
    curve = row["training"]["full_pass"]
    return float(np.mean(curve[-max(1, len(curve) // 4) :]))


def tuned_rate(study: dict[str, Any], results: dict[str, Any], run: dict[str, Any]) -> dict[str, float]:
    """{"lr": the best rate of a run's condition}, or {} in a study that does not tune."""
    condition = {name: value for name, value in run.items() if name != "seed"}
    tried = tuning_runs(study, condition)
    rows = [row for row in results["tuning"] if row["run"] in tried]
    return {"lr": max(rows, key=tuning_score)["run"]["lr"]} if rows else {}


def settings_of(study: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """All settings of a run: a seed has a base model of its own, unless the run says otherwise."""
    return study.get("settings", {}) | {"toy_seed": run["seed"]} | run


def check_study(study: dict[str, Any]) -> None:
    """Raise UsageError for a study that could not be run."""
    known = {"grids", "seeds", "settings", "tune"}
    try:
        if unknown := set(study) - known:
            raise UsageError(f"a study has the fields {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}")
        runs = seeded_runs(study)
        for run in runs + all_tuning_runs(study):
            find_reward(Config(**settings_of(study, run)).reward)
        if not runs or len({json.dumps(run, sort_keys=True) for run in runs}) < len(runs):
            raise UsageError("a study needs at least one run, and none twice")
    except UsageError:
        raise
    except (TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"this is not a study: {error!r}") from None


# ----------------------------------------------------------------------------------------------------------------------
# Running it: several runs at a time, each in a process that has others before and after it


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
    tuning, seeded = all_tuning_runs(study), seeded_runs(study)
    total, done = len(tuning) + len(seeded), len(results["tuning"]) + len(results["runs"])
    if done == total:
        return results
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    started = time.perf_counter() - results["seconds"]
    with (
        workers(jobs or (1 if torch.cuda.is_available() else count_cores()), folder / "log.txt") as pool,
        tqdm(total=total, initial=done, desc="study", unit="run", dynamic_ncols=True) as bar,
    ):

        def keep(rows: Iterator[dict[str, Any]], place: str) -> None:
            for row in rows:
                results[place].append(row)
                results["seconds"] = time.perf_counter() - started
                write_text(file, json.dumps(results, separators=(",", ":")))
                bar.update()

        make_bases(pool, [Config(**settings_of(study, run)) for run in tuning + seeded])
        keep(run_missing(pool, results, "tuning", tuning, folder, eval_size=1, eval_every=0), "tuning")
        tuned = [run | tuned_rate(study, results, run) for run in seeded]
        keep(run_missing(pool, results, "runs", tuned, folder), "runs")
    return results


@contextlib.contextmanager
def workers(jobs: int, log: Path) -> Iterator[concurrent.futures.Executor]:
    """Processes that share the cores. When the study ends early, by an error or by Ctrl-C, so do they."""
    os.environ["OMP_NUM_THREADS"] = str(max(1, count_cores() // jobs))  # they inherit these two
    os.environ["TQDM_DISABLE"] = "1"
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, spawn, _start_worker, (str(log),)) as pool:
        try:
            yield pool
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, concurrent.futures.BrokenExecutor):
                words = f"a process of the study died (out of memory?), see {log}; the same command goes on"
                raise UsageError(words) from None
            raise


def _start_worker(log: str) -> None:
    """What a worker of a study prints goes to a file, not into the bar; and it ends when the study has died."""
    threading.Thread(target=lambda: (multiprocessing.parent_process().join(), os._exit(1)), daemon=True).start()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)


def make_bases(pool: concurrent.futures.Executor, configs: list[Config]) -> None:
    """Make the toy's base models that are missing: each in one process, before several want it."""
    bases = {(config.toy_noise, config.toy_seed) for config in configs if config.model == "toy"}
    for task in [pool.submit(_make_base, *base) for base in bases]:
        task.result()


def _make_base(noise: float, seed: int) -> None:
    load_policy("toy", toy_noise=noise, toy_seed=seed)


def run_missing(
    pool: concurrent.futures.Executor,
    results: dict[str, Any],
    place: str,
    runs: list[dict[str, Any]],
    folder: Path,
    **settings: Any,
) -> Iterator[dict[str, Any]]:
    """Run those of `runs` that results[place] does not have, with these settings; yield their rows as they end."""
    finished = [row["run"] for row in results[place]]
    tasks = {}
    for run in (run for run in runs if run not in finished):
        name = re.sub(r"[^\w.]+", "-", "-".join(f"{value}" for value in (place, *run.values())))
        tasks[pool.submit(study_run, settings_of(results["study"], run) | settings, folder / "runs" / name)] = run
    for task in concurrent.futures.as_completed(tasks):
        yield {"run": tasks[task], **task.result()}


class RememberingSandbox(Sandbox):
    """A sandbox that keeps its results in a file (SQLite), which several processes may share: the runs of a study write
    many programs again. Without it a small study took about 1.2 times as long (once, on a busy machine). What may have
    been the clock's verdict is not kept."""

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


@functools.cache
def _sandbox_of_study(file: Path, *settings: Any) -> RememberingSandbox:
    return RememberingSandbox(file, *settings)


def study_run(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One run of a study; its row of the results. The folder keeps everything but the checkpoint."""
    started = time.perf_counter()
    config = Config(**{"workers": 2} | settings, out=str(folder))  # of the sandbox: other runs want the cores, too
    if find_checkpoint(folder):  # it was interrupted
        config = replace(config, resume=str(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)
    train(config, _sandbox_of_study(folder.parent / "programs.sqlite", 2, config.cpu_seconds, config.memory_mb))
    metrics = read_jsonl(folder / "metrics.jsonl")
    steps = [row["step"] for row in metrics if "eval/pass@1" in row]
    evaluations = {step: read_jsonl(folder / "evaluations" / f"step_{step:06d}.jsonl") for step in steps}
    names = ["full_pass", "pass_rate", "dead_groups", "entropy", "grad_norm"]
    training = [{name: row[name] for name in names} | census_of(folder, row["step"]) for row in metrics if row["step"]]
    shutil.rmtree(folder / "checkpoint")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "training": {name: [round(row[name], 4) for row in training] for name in training[0]},
        "tests": [len(row["outcomes"][0]) for row in evaluations[0]],
        "evaluations": {
            str(step): [[sum(passes) for passes in row["outcomes"]] for row in rows]
            for step, rows in evaluations.items()
        },
    }


def census_of(folder: Path, step: int) -> dict[str, float]:
    """The kinds of groups in a step of a run, from its saved rollout: group_census."""
    return group_census(*outcomes_of_rows(read_jsonl(folder / "rollouts" / f"step_{step:06d}.jsonl")))


# ----------------------------------------------------------------------------------------------------------------------
# What the results say


def read_results(file: Path) -> dict[str, Any]:
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        results["study"], results["seconds"], results["tuning"], results["runs"]
        return results
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"cannot read the results of a study in {file}: {error!r}") from None


def curves_of(row: dict[str, Any]) -> tuple[list[int], dict[str, np.ndarray]]:
    """The steps of a run's evaluations, and pass@1, ... of each problem at each: [evaluations, P]."""
    steps, tests = sorted(map(int, row["evaluations"])), np.array(row["tests"])[:, None]
    rates = [np.array(row["evaluations"][str(step)]) / tests for step in steps]  # [P, samples] each
    size = rates[0].shape[1]
    ks = sorted({k for k in (1, 8, 64, size) if k <= size})  # as minirl.columns_of has them
    solved = [(of_step == 1).sum(-1).tolist() for of_step in rates]
    curves = {f"pass@{k}": np.array([[pass_at_k(size, c, k) for c in of_step] for of_step in solved]) for k in ks}
    return steps, curves | {"pass_rate": np.array([of_step.mean(-1) for of_step in rates])}


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
    dropped = {"seed", "lr"} if "tune" in results["study"] else {"seed"}
    runs_of: dict[str, list[tuple]] = {}  # condition -> its runs, each with its curves
    for row in results["runs"]:
        condition = {name: value for name, value in row["run"].items() if name not in dropped}
        runs_of.setdefault(json.dumps(condition, sort_keys=True), []).append((row["run"], *curves_of(row)))
    measured = {  # condition -> seed -> columns
        key: {run["seed"]: columns_of_run(steps, curves) for run, steps, curves in runs}
        for key, runs in runs_of.items()
    }
    summary = []
    for condition in conditions_of(results["study"]):
        condition = {name: value for name, value in condition.items() if name not in dropped}
        key, base = (json.dumps(condition | other, sort_keys=True) for other in ({}, {"reward": baseline}))
        if key not in measured:
            continue
        of_seed, runs = measured[key], runs_of[key]
        line: dict[str, Any] = {"condition": condition, "lr": runs[-1][0].get("lr"), "seeds": len(of_seed)}
        line["difference"] = paired_difference(of_seed, measured.get(base, {})) if key != base else None
        for name in next(iter(of_seed.values())):
            line[name] = crossed_interval(np.array([columns[name] for columns in of_seed.values()]))
        line["collapsed"] = sum(c["pass@1"].mean() < c["before"].mean() for c in of_seed.values())
        _, steps, first = runs[0]
        line["curves"] = steps, {name: np.array([curves[name].mean(-1) for _, _, curves in runs]) for name in first}
        summary.append(line)
    return summary


def columns_of_run(steps: list[int], curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """pass@1, ... of each problem at the end of a run (curves_of), pass@1 before it, and its mean over the run: [P]."""
    pass_1 = curves["pass@1"]
    areas = (pass_1[1:] + pass_1[:-1]) / 2 * np.diff(steps)[:, None]
    columns = {name: values[-1] for name, values in curves.items()}
    return columns | {"before": pass_1[0], "area": areas.sum(0) / (steps[-1] - steps[0])}


def paired_difference(
    mine: dict[int, dict[str, np.ndarray]], others: dict[int, dict[str, np.ndarray]]
) -> dict[str, Any] | None:
    """The difference of two conditions (seed -> columns_of_run), over the seeds that both have; see study_summary."""
    pairs = [(mine[seed], others[seed]) for seed in mine if seed in others]
    if not pairs:
        return None
    difference: dict[str, Any] = {
        name: crossed_interval(np.array([m[name] - o[name] for m, o in pairs]))
        for name in ("pass@1", "pass@8", "pass_rate", "area")
        if name in pairs[0][0]
    }
    above = sum(m["pass@1"].mean() > o["pass@1"].mean() for m, o in pairs)
    return difference | {"pairs": len(pairs), "above": above}


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
    plt = pyplot()
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
    save_figure(figure, file)


# ----------------------------------------------------------------------------------------------------------------------
# The command line


def arguments(argv: list[str] | None) -> argparse.Namespace:
    def refuse(message: str) -> None:
        raise UsageError(f"{message} (see python study.py --help)")

    parser = argparse.ArgumentParser("study.py", description="Compare rewards and algorithms over paired seeds.")
    parser.error = refuse
    words = "a study, as the head of this file shows; none: the repository's own, of about 80 minutes"
    parser.add_argument("study", nargs="?", type=Path, metavar="FILE.json", help=words)
    parser.add_argument("--quick", action="store_true", help="a small study, for some minutes")
    words = "its folder; an interrupted study goes on, a whole one is only evaluated"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=words)
    words = "runs at the same time; default: one a core, on a GPU one"
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help=words)
    given = parser.parse_args(argv)
    if given.quick and given.study:
        raise UsageError("--quick is a study of its own; leave it or the file out")
    if given.jobs < 0:
        raise UsageError(f"--jobs must not be negative, got {given.jobs}")
    return given


def chosen_study(file: Path | None, quick: bool, folder: Path) -> dict[str, Any]:
    """The study of a file; else that of which the folder holds results; else the quick one, or the repository's own."""
    if file:
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the study {file}: {error}") from None
    if (folder / "results.json").exists():
        return read_results(folder / "results.json")["study"]
    return QUICK_STUDY if quick else STUDY


def main(argv: list[str] | None = None) -> int:
    """Run a study, print its table, draw its figure. Returns 0, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        given = arguments(argv)
        pyplot()  # without matplotlib, an hour's runs would end without a figure
        name = "quick-study" if given.quick else given.study.stem if given.study else "study"
        folder = given.out or Path("runs") / name
        results = run_study(chosen_study(given.study, given.quick, folder), folder, given.jobs)
        summary = study_summary(results)
        table = study_table(results, summary)
        write_text(folder / "table.md", table + "\n")
        print(table)
        plot_study(summary, folder / "figure.png")
        print(f"\n{folder}/ holds results.json, table.md and figure.png")
        return 0
    except (UsageError, SandboxError) as error:
        print(f"\rstudy: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstudy: interrupted; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
