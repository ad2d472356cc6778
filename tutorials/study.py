"""A study: a grid of training runs with paired seeds, its table and its figure.

    python tutorials/study.py quick                binary, pass_rate and gated, two seeds: some minutes
    python tutorials/study.py MY_STUDY.json        yours: the conditions are the combinations of each grid
    python tutorials/study.py rewards              the one of tutorials/results/rewards: a night or two
    python tutorials/study.py remedies             the one of tutorials/results/remedies: a night
    python tutorials/study.py pretrained           the one of tutorials/results/pretrained, of SmolLM2: two hours
    python tutorials/study.py --out FOLDER         goes on with it, or evaluates it again if it is whole

A study is a file such as

    {"grids": [{"reward": ["binary", "gated", "my_file.py:mine"], "algorithm": ["grpo", "rloo"]}],
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
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dynamic_sampling
import numpy as np
import torch
from diagnostics import pyplot, save_figure
from rewards import OTHER_COLORS, OTHER_REWARDS
from tqdm import tqdm

from minirl import (
    ADVANTAGES,
    COLORS,
    REWARDS,
    Config,
    UsageError,
    count_cores,
    find_checkpoint,
    find_reward,
    load_policy,
    pass_at_k,
    read_jsonl,
    toy_problems,
    train,
    warn,
    write_jsonl,
    write_text,
)
from sandbox import Program, Result, Sandbox, SandboxError, Verdict

# A study calls the six rewards of rewards.py by their short names. So they are entered here: the processes that run the
# study import this file, too.
REWARDS.update(OTHER_REWARDS)
COLORS.update(OTHER_COLORS)

# Four strengths of the toy's base model: pass@1 near 0.25, 0.1, 0.02 and 0.002; and steps after which binary's training
# curve was flat in a pilot: full passes in its last quarter less than 0.02 above those in the quarter before ("rise").
STRENGTHS = {
    "strong": {"toy_noise": [0.35], "steps": [250]},
    "middling": {"toy_noise": [0.5], "steps": [350]},
    "weak": {"toy_noise": [0.7], "steps": [600]},
    "starved": {"toy_noise": [0.82], "families": [["lists"]], "steps": [1000]},
}
BOTH = {"algorithm": ["grpo", "rloo"]}
PAIR = BOTH | {"reward": ["binary", "pass_rate"]}
STUDY = {
    "grids": [
        grid
        for strength in STRENGTHS.values()
        for grid in (
            strength | BOTH | {"reward": ["binary", "pass_rate", "gated", "hard_tests"]},
            strength | PAIR | {"seed": [5, 6, 7]},
            strength | PAIR | {"lr": [2e-4]},
        )
    ]  # and the others at one rate, that which was chosen for most of them
    + [
        STRENGTHS[x] | BOTH | {"reward": ["binary", "gated", "hard_tests"], "lr": [4e-4]}
        for x in ("strong", "middling")
    ]
    + [STRENGTHS[x] | BOTH | {"reward": ["gated", "hard_tests"], "lr": [2e-4]} for x in ("weak", "starved")],
    "seeds": [0, 1, 2, 3, 4],
    "settings": {"eval_every": 100, "lr": 2e-4},
    "tune": {"lr_factors": [0.5, 1, 2], "grow": 2, "algorithm": "grpo", "seed": 100, "toy_seed": [100, 101]},
}


def remedies(strength: dict[str, Any], problems: int, lr: float) -> list[dict[str, Any]]:
    """What one may do when groups are dead, with equal numbers of programs (the last grid: with twice as many): the
    grids of a strength, which has so many problems, and on which binary learns best with this rate. The first condition
    is what the others are compared with. Dense rewards come first under RLOO: under GRPO no full pass is left then."""
    (steps,) = strength["steps"]
    first, then = {"steps": steps // 2}, {"steps": steps - steps // 2}
    choosing = math.ceil(problems * 8 / 96)  # steps' worth of programs: of each problem 8 are drawn to choose
    rloo = {"algorithm": "rloo"}
    grids = [
        {"reward": ["binary", "pass_rate", "gated", "rewards.without_empty"]},
        {"problems_per_step": [3], "group_size": [32]},
        {"stages": [[{"levels": [1]} | first, then]]},  # fewer slots to fill first
        {"min_pass": [0.01], "steps": [steps - choosing]},
        {"stages": [[{"min_pass": 0.01, "steps": steps // 2 - choosing}, then]]},  # easy problems first, as measured
        {"live_groups": [2, 6]},  # dynamic sampling
        {"algorithm": ["reinforce"], "baseline": ["none"], "normalisation": ["sequence"]},  # only full passes push
        {"stages": [[first, then], *[[{"reward": reward} | rloo | first, then] for reward in ("pass_rate", "gated")]]},
        {"lr": [lr / 2]},
        {"steps": [2 * steps], "reward": ["binary", "pass_rate"]},
    ]
    return [strength | {"lr": [lr]} | grid for grid in grids]


REMEDIES = {
    "grids": remedies(STRENGTHS["weak"], 956, 2e-4) + remedies(STRENGTHS["starved"], 624, 1e-4),
    "seeds": [0, 1, 2, 3, 4],
    "settings": {"eval_every": 100},
    "compare": ["toy_noise", "families"],
}
QUICK = {
    "grids": [{"toy_noise": [0.5], "algorithm": ["grpo"], "reward": ["binary", "pass_rate", "gated"]}],
    "seeds": [0, 1],
    "settings": {"steps": 60, "eval_every": 20},
}
PRETRAINED = {
    "grids": [{"reward": ["binary", "pass_rate"]}],
    "seeds": [0, 1, 2],
    "settings": {"model": "HuggingFaceTB/SmolLM2-135M-Instruct", "levels": [1, 2], "problems_per_step": 16}
    | {"temperature": 0.6, "eval_temperature": 0.6, "max_new_tokens": 64, "lr": 2e-5, "steps": 30, "eval_every": 15}
    | {"micro_batch_tokens": 4096},  # two runs at a time in 16 GB
}
STUDIES = {"rewards": STUDY, "remedies": REMEDIES, "quick": QUICK, "pretrained": PRETRAINED}

# ----------------------------------------------------------------------------------------------------------------------
# The grid: conditions, seeds, and the runs that choose a learning rate


def combinations(grid: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def each_once(items: list[Any]) -> list[Any]:
    return [item for i, item in enumerate(items) if item not in items[:i]]


def conditions_of(study: dict[str, Any]) -> list[dict[str, Any]]:
    """What a study compares: every combination of the values of each of its grids, without the seed."""
    runs = [run for grid in study["grids"] for run in combinations(grid)]
    return each_once([{name: value for name, value in run.items() if name != "seed"} for run in runs])


def seeded_runs(study: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of all conditions: every seed of each, seed by seed."""
    runs = [run for grid in study["grids"] for run in combinations(grid | {"seed": grid.get("seed", study["seeds"])})]
    return sorted(runs, key=lambda run: run["seed"])


def tuning_runs(
    study: dict[str, Any], condition: dict[str, Any], done: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The runs which tell the learning rate of a condition; conditions may share them. While the best one of the rates
    `done` (rows of results) is at an edge of the range, the range grows by a factor of two, tune["grow"] times."""
    if "tune" not in study or "lr" in condition:
        return []
    tune = {name: value if isinstance(value, list) else [value] for name, value in study["tune"].items()}
    rate = config_of(stages_of(study.get("settings", {}) | condition)[0]).lr
    rates = sorted(rate * factor for factor in tune.pop("lr_factors"))
    runs: list[dict[str, Any]] = []
    for _ in range(1 + tune.pop("grow", [0])[0]):
        runs = [condition | run for run in combinations(tune | {"lr": rates})]
        best = best_rate(runs, done)
        if best == rates[0]:
            rates = [best / 2, *rates]
        elif best == rates[-1]:
            rates = [*rates, best * 2]
    return runs


def best_rate(runs: list[dict[str, Any]], done: Sequence[dict[str, Any]]) -> float | None:
    """The learning rate of these runs with the highest mean score, of equals the lowest; None if some are missing."""
    scores: dict[float, list[float]] = {}
    for row in done:
        if row["run"] in runs:
            scores.setdefault(row["run"]["lr"], []).append(tuning_score(row))
    whole = sum(map(len, scores.values())) == len(runs) > 0
    return max(sorted(scores), key=lambda rate: np.mean(scores[rate])) if whole else None


def all_tuning_runs(study: dict[str, Any], done: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Those of all conditions, each once."""
    return each_once([run for condition in conditions_of(study) for run in tuning_runs(study, condition, done)])


def tuning_score(row: dict[str, Any]) -> float:
    """The share of full passes in the last quarter of training. No held-out problem is looked at."""
    curve = row["training"]["full_pass"]
    return float(np.mean(curve[-max(1, len(curve) // 4) :]))


def tuned_rate(study: dict[str, Any], done: list[dict[str, Any]], run: dict[str, Any]) -> dict[str, float]:
    """{"lr": the best rate of a run's condition}; {} where that is given or all runs share one."""
    runs = tuning_runs(study, {name: value for name, value in run.items() if name != "seed"}, done)
    return {"lr": best_rate(runs, done)} if runs else {}


def settings_of(study: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """All settings of a run: a seed has a base model of its own, unless the run says otherwise."""
    return study.get("settings", {}) | {"toy_seed": run["seed"]} | run


def config_of(settings: dict[str, Any], **others: Any) -> Config:
    """minirl's settings among those of a run without stages."""
    own = ("live_groups", "baseline")
    return Config(**{name: value for name, value in settings.items() if name not in own} | others)


def stages_of(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of each stage of a run: {"stages": [{"levels": [1], "steps": 50}, {"steps": 100}]} are two; and a
    run without is one."""
    common = {name: value for name, value in settings.items() if name != "stages"}
    return [common | stage for stage in settings.get("stages", [{}])]


def check_study(study: dict[str, Any]) -> None:
    """Raise UsageError for a study that could not be run."""
    known = {"grids", "seeds", "settings", "tune", "compare"}
    try:
        if unknown := set(study) - known:
            raise UsageError(f"a study has the fields {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}")
        if not study.get("tune", {"lr_factors": [1]})["lr_factors"]:
            raise UsageError("tune needs at least one of lr_factors")
        runs = seeded_runs(study)
        for run in runs + all_tuning_runs(study):
            for stage in stages_of(settings_of(study, run)):
                find_reward(config_of(stage).reward)
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
           seeds     of every condition's runs, unless its grid has a "seed". A seed has a base model of its own where
                     that is the toy, and one order of problems and one stream of random numbers, in all conditions:
                     runs are paired
           settings  of all runs: minirl.Config's; "stages", a list of settings for parts of a run (stages_of); and
                     "live_groups", for dynamic_sampling.py; and "baseline": "none", for reinforce
           compare   optional: conditions that share these settings are compared with the first of them. Without it,
                     a condition is compared with the same under the binary reward
           tune      optional, {"lr_factors": [...], and settings, or lists of them}: a condition's learning rate, if it
                     gives none, is multiplied by each factor, and that is taken with which runs under these settings
                     have most full passes in the last quarter of their training; see tuning_runs

    folder/results.json is written after every run, so a study that was interrupted goes on where it was; its grids and
    seeds may have grown. It holds {study, seconds, tuning, runs}; each row of the last two has the settings that are
    the run's own ("run"), "seconds", the curves of its "training" (at most 60 points, means of steps), for every
    evaluation how many "tests" of the problem each sample passed, and the five commonest "programs" of the last one.
    """
    check_study(study)
    file = folder / "results.json"
    results = read_results(file) if file.exists() else {"study": study, "seconds": 0.0, "tuning": [], "runs": []}
    if any(results["study"].get(name) != study.get(name) for name in ("settings", "tune")):
        raise UsageError(f"{file} holds the results of a study with other settings; choose another --out")
    results["study"] = study
    tuning, seeded = all_tuning_runs(study, results["tuning"]), seeded_runs(study)
    if not missing(results["tuning"], tuning) + missing(results["runs"], tuned_runs(study, results, seeded)):
        return results
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    started = time.perf_counter() - results["seconds"]
    with (
        workers(jobs or (1 if torch.cuda.is_available() else count_cores()), folder / "runs" / "log.txt") as pool,
        tqdm(total=len(tuning) + len(seeded), desc="study", unit="run", dynamic_ncols=True) as bar,
    ):

        def run_all(runs: list[dict[str, Any]], place: str, **settings: Any) -> None:
            make_bases(pool, [stages_of(settings_of(study, run))[0] for run in missing(results[place], runs)])
            for row in run_missing(pool, results, place, runs, folder, **settings):
                results[place].append(row)
                results["seconds"] = time.perf_counter() - started
                write_text(file, json.dumps(results, separators=(",", ":")))
                bar.update()

        bar.update(len(results["tuning"]) + len(results["runs"]))
        while missing(results["tuning"], tuning):
            run_all(tuning, "tuning", eval_size=1, eval_every=0)
            tuning = all_tuning_runs(study, results["tuning"])
            bar.total = len(tuning) + len(seeded)
        run_all(tuned_runs(study, results, seeded), "runs")
    return results


def tuned_runs(study: dict[str, Any], results: dict[str, Any], seeded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """These runs with their learning rates. Where a rate that was given is the best one as well, two are one run."""
    return each_once([run | tuned_rate(study, results["tuning"], run) for run in seeded])


def missing(rows: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    finished = [row["run"] for row in rows]
    return [run for run in runs if run not in finished]


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


def make_bases(pool: concurrent.futures.Executor, runs: list[dict[str, Any]]) -> None:
    """Make the toy's base models that are missing: each in one process, before several want it."""
    configs = map(config_of, runs)
    bases = dict.fromkeys((config.toy_noise, config.toy_seed) for config in configs if config.model == "toy")
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
    tasks = {}
    for run in missing(results[place], runs):
        name = re.sub(r"[^\w.]+", "-", "-".join(f"{value}" for value in (place, *run.values())))[:100]
        name += "-" + hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:6]  # values may be alike
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
    """One run of a study; its row of the results. The folder keeps everything but the checkpoint; a run with stages has
    a folder for each, and each begins with the weights of the one before."""
    started, folder = time.perf_counter(), folder.resolve()
    if len(stages_of(settings)) > 1 and settings.get("problems", "toy") == "toy":
        settings = settings | {"held_out": held_out_file(settings, folder)}
    # With the seed of the first stage, the others would draw its random numbers, and problems, once more.
    stages = [stage | {"seed": stage.get("seed", 0) + 1000 * i} for i, stage in enumerate(stages_of(settings))]
    folders = [folder / f"stage_{i}" for i in range(1, len(stages) + 1)] if len(stages) > 1 else [folder]
    names = ["full_pass", "pass_rate", "dead_groups", "entropy"]
    training: list[dict[str, float]] = []
    evaluations: dict[int, list[dict[str, Any]]] = {}
    for stage, place, before in zip(stages, folders, [None, *folders], strict=False):
        train_stage(stage if before is None else stage | {"model": str(before)}, place, folder.parent)
        done = len(training)
        for row in read_jsonl(place / "metrics.jsonl"):
            if row["step"]:
                training.append({name: row[name] for name in names})
            if "eval/pass@1" in row and (row["step"] or not done):  # at its first step a stage is the one before it
                file = place / "evaluations" / f"step_{row['step']:06d}.jsonl"
                evaluations[done + row["step"]] = read_jsonl(file)
    for place in folders:  # renamed, since a folder that is half deleted would be gone on with
        shutil.rmtree((place / "checkpoint").rename(place / "deleted"))
    parts = np.array_split(np.array([list(row.values()) for row in training]), min(60, len(training)))
    means = np.array([part.mean(0) for part in parts]).round(4)  # [points, names]
    last = evaluations[max(evaluations)]
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "training": {name: means[:, i].tolist() for i, name in enumerate(names)},
        "tests": [len(row["outcomes"][0]) for row in evaluations[0]],
        "evaluations": {
            str(step): [[sum(passes) for passes in row["outcomes"]] for row in rows]
            for step, rows in evaluations.items()
        },
        "programs": Counter(text for row in last for text in row["completions"]).most_common(5),  # [text, count] each
    }


def held_out_file(settings: dict[str, Any], folder: Path) -> str:
    """The toy problems on which all stages of a run are evaluated, also one that trains on easy ones: the run's own."""
    config = config_of({name: value for name, value in settings.items() if name != "stages"})
    rows = []
    for problem in toy_problems("test", config.families, config.levels):
        tests = [{"args": test.args, "expected": test.expected} for test in problem.tests]
        fields = {"task_id": problem.task_id, "prompt": problem.prompt, "entry_point": problem.entry_point}
        rows.append(fields | {"tests": tests})
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "held_out.jsonl", rows)
    return str(folder / "held_out.jsonl")


def train_stage(settings: dict[str, Any], folder: Path, shared: Path) -> None:
    """Train, or go on where it was interrupted. The results of programs are kept in the folder `shared`."""
    config = config_of({"workers": 2} | settings, out=str(folder))  # of the sandbox: other runs want the cores, too
    if find_checkpoint(folder) and "live_groups" not in settings:  # a resumed one has lost the groups that waited
        config = replace(config, resume=str(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)
    trainer = train
    if "live_groups" in settings:
        trainer = functools.partial(dynamic_sampling.train, live_groups=settings["live_groups"])
    reinforce = ADVANTAGES["reinforce"]
    if settings.get("baseline") == "none":
        ADVANTAGES["reinforce"] = lambda rewards: rewards  # A_i = R_i: only samples with a reward push
    try:
        trainer(config, _sandbox_of_study(shared / "programs.sqlite", 2, config.cpu_seconds, config.memory_mb))
    finally:
        ADVANTAGES["reinforce"] = reinforce


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
    """The mean of values [S seeds, P problems], some of which may be nan, and its 95 % interval (Student's t): what
    other seeds and problems would give. Its variance is that over seeds plus that over problems, minus that of single
    values, which both contain (two-way clusters: Cameron, Gelbach and Miller 2011, "Robust inference with multiway
    clustering"); its degrees of freedom are Satterthwaite's. It is symmetric: that of a share may end beyond 1."""
    known = ~np.isnan(values)
    if not known.any():
        return math.nan, math.nan, math.nan
    mean, clusters = values[known].mean(), []
    parts = np.where(known, values - mean, 0.0) / known.sum()  # of the error of the mean
    for axis in (1, 0):
        sums = parts.sum(axis)[known.any(axis)]
        freedom = max(1, len(sums) - 1)
        clusters.append((len(sums) / freedom * float((sums**2).sum()), freedom))
    both = sum(variance for variance, _ in clusters)
    variance = max(both - float((parts**2).sum()), *(variance for variance, _ in clusters))
    freedom = both**2 / sum(variance**2 / freedom for variance, freedom in clusters) if both > 1e-30 else 1.0
    wide = student_t(0.975, freedom) * math.sqrt(variance)
    return float(mean), float(mean - wide), float(mean + wide)


def student_t(probability: Any, freedom: int) -> Any:
    """Quantiles of Student's t distribution."""
    try:
        from scipy import stats
    except ImportError:
        raise UsageError("an interval over seeds needs scipy: pip install scipy") from None
    return stats.t.ppf(probability, freedom)


def seed_interval(values: np.ndarray, power: float = 0.8) -> dict[str, float]:
    """Of values [S seeds, P problems]: their "mean"; its 95 % interval from "low" to "high", Student's t over the means
    of the seeds (nan with one seed): what other seeds, and so other base models, would give on these problems; and what
    is "detectable": the smallest difference that such an interval would exclude 0 for, with this power."""
    means = values.mean(-1)
    error = means.std(ddof=1) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    wide, far = student_t([0.975, power], max(1, len(means) - 1))
    mean = float(means.mean())
    return {
        "mean": mean,
        "low": mean - wide * error,
        "high": mean + wide * error,
        "detectable": (wide + far) * error,
    }


def in_brackets(interval: dict[str, float], sign: str = "", digits: int = 3) -> str:
    """An interval as text: mean [low, high]; the mean alone of one seed, and nothing where there is none."""
    mean, low, high = (f"{interval[name]:{sign}.{digits}f}" for name in ("mean", "low", "high"))
    return "" if math.isnan(interval["mean"]) else mean if math.isnan(interval["low"]) else f"{mean} [{low}, {high}]"


def rows_of_conditions(results: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The conditions of a study that have been run, each with the rows of its seeds."""
    found = []
    rows = {json.dumps(row["run"], sort_keys=True): row for row in results["runs"]}
    runs = seeded_runs(results["study"])
    for condition in conditions_of(results["study"]):
        rate = tuned_rate(results["study"], results["tuning"], condition)
        mine = [json.dumps(run | rate, sort_keys=True) for run in runs if condition | {"seed": run["seed"]} == run]
        if any(key in rows for key in mine):
            found.append((condition, [rows[key] for key in mine if key in rows]))
    return found


def baseline_of(study: dict[str, Any], condition: dict[str, Any]) -> dict[str, Any]:
    """The condition with which another one is compared; see run_study."""
    if "compare" not in study:
        return condition | {"reward": "binary"}
    shared = {name: condition.get(name) for name in study["compare"]}
    return next(x for x in conditions_of(study) if {name: x.get(name) for name in shared} == shared)


def panel_and_label(study: dict[str, Any], condition: dict[str, Any]) -> tuple[str, str]:
    """A condition in words: the base and problems that it shares with its baseline (a panel of a figure); the rest."""
    shared = study.get("compare", [name for name in condition if name not in ("algorithm", "reward", "lr")])
    usual = baseline_of(study, condition)  # its number of steps goes without saying, and its rate if it is everybody's
    unsaid = {"steps": usual.get("steps")} | ({"lr": usual.get("lr")} if "compare" in study else {})
    said = {name: value for name, value in condition.items() if name not in unsaid or value != unsaid[name]}
    panel = {name: said[name] for name in shared if name in said}
    return in_words(panel, "\n"), in_words({name: value for name, value in said.items() if name not in shared})


def in_words(settings: dict[str, Any], between: str = " ") -> str:
    """Settings; algorithms and rewards by their names alone."""
    words = []
    for name, value in settings.items():
        if name == "stages":
            stages = [{name: value for name, value in stage.items() if name != "steps"} for stage in value]
            words.append(" then ".join(in_words(stage) or "all as usual" for stage in stages))
        elif name in ("algorithm", "reward"):
            words.append(value)
        else:
            words.append(f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return between.join(words)


def study_summary(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What the results of a study say of each of its conditions, in the order of its grids.

    condition, lr, seeds     the number of its runs so far; panel, label: panel_and_label; tuned: was its rate chosen?
                             at_edge: is that the lowest or the highest of those that were tried?
    before, pass@1, pass@8, pass_rate, area   seed_interval of the held-out results at the end; of pass@1 before, and of
                             its mean over the run (the area under its curve: not compared where "steps" differ)
    entropy, rise            the same of the training: the entropy of a token, in nats, in the last quarter; the share
                             of full passes there, minus that in the quarter before (has the curve flattened?)
    difference               the same names, of paired differences to its baseline (baseline_of); "pairs", the number of
                             seeds of both, and "above", of those with a higher pass@1. None for the baseline itself
    curve                    see curve_of: held-out where the study says what is compared, for these conditions may
                             train on other problems; else in training
    of_seed                  seed -> columns_of_run
    doubled                  [seeds], see steps_doubled
    collapsed                the number of runs that ended below where they began, in pass@1
    """
    done = rows_of_conditions(results)
    columns = [{row["run"]["seed"]: columns_of_run(row) for row in rows} for _, rows in done]
    summary = []
    for (condition, rows), of_seed in zip(done, columns, strict=True):
        baseline = baseline_of(results["study"], condition)
        of_baseline = next((x for (other, _), x in zip(done, columns, strict=True) if other == baseline), {})
        line: dict[str, Any] = {"condition": condition, "lr": rows[-1]["run"].get("lr")}
        line["seeds"], line["of_seed"] = len(of_seed), of_seed
        tried = {run["lr"] for run in tuning_runs(results["study"], condition, results["tuning"])}
        line["tuned"], line["at_edge"] = bool(tried), bool(tried) and line["lr"] in (min(tried), max(tried))
        line["panel"], line["label"] = panel_and_label(results["study"], condition)
        line["difference"] = paired_difference(of_seed, of_baseline) if condition != baseline else None
        for name in next(iter(of_seed.values())):
            line[name] = seed_interval(np.array([of_run[name] for of_run in of_seed.values()]))
        line["collapsed"] = sum(c["pass@1"].mean() < c["before"].mean() for c in of_seed.values())
        line["curve"] = curve_of(rows, held_out="compare" in results["study"])
        line["doubled"] = steps_doubled(rows)
        summary.append(line)
    return summary


def curve_of(rows: list[dict[str, Any]], held_out: bool) -> tuple[str, Sequence[float], np.ndarray]:
    """Its name, steps [N], and the share of full passes there in each run [seeds, N]: held-out, at every evaluation; or
    in training, at most 20 points, each a mean of steps."""
    if held_out:
        found = [curves_of(row) for row in rows]
        return "held-out pass@1", found[0][0], np.array([curves["pass@1"].mean(-1) for _, curves in found])
    values = np.array([row["training"]["full_pass"] for row in rows])
    parts = np.array_split(values, min(20, values.shape[1]), axis=1)
    steps = np.arange(0.5, len(parts)) / len(parts) * max(map(int, rows[0]["evaluations"]))
    return "full passes in training", steps.tolist(), np.stack([part.mean(-1) for part in parts], axis=-1)


def columns_of_run(row: dict[str, Any]) -> dict[str, np.ndarray]:
    """What study_summary has of one run, for each held-out problem [P]; of the training, [1]."""
    steps, curves = curves_of(row)
    pass_1, solved = curves["pass@1"], np.array(row["training"]["full_pass"])
    columns = {name: values[-1] for name, values in curves.items()}
    columns["before"], columns["steps"] = pass_1[0], np.array([float(steps[-1])])
    areas = (pass_1[1:] + pass_1[:-1]) / 2 * np.diff(steps)[:, None]
    columns["area"] = (
        areas.sum(0) / (steps[-1] - steps[0]) if len(steps) > 2 else areas.sum(0) * math.nan
    )  # says no more
    quarter = max(1, len(solved) // 4)
    columns["entropy"] = np.array([np.mean(row["training"].get("entropy", [math.nan])[-quarter:])])
    before_last = solved[-2 * quarter : -quarter]
    columns["rise"] = np.array([solved[-quarter:].mean() - before_last.mean() if len(before_last) else math.nan])
    return columns


def steps_doubled(rows: list[dict[str, Any]]) -> list[float]:
    """The first evaluation (its step) from which on each run of a condition has at least twice the held-out pass@1 that
    its seeds had before, on average. inf: it ends below. nan: before, nobody passed."""
    found = [curves_of(row) for row in rows]
    curves = [(steps, curves["pass@1"].mean(-1)) for steps, curves in found]
    goal = 2 * float(np.mean([values[0] for _, values in curves]))
    return [step_reached(*curve, goal) if goal else math.nan for curve in curves]


def step_reached(steps: Sequence[int], values: Sequence[float], goal: float) -> float:
    after = 1 + max((i for i, value in enumerate(values) if value < goal), default=-1)
    return float(steps[after]) if after < len(steps) else math.inf


def paired_difference(
    mine: dict[int, dict[str, np.ndarray]], others: dict[int, dict[str, np.ndarray]]
) -> dict[str, Any] | None:
    """The difference of two conditions (seed -> columns_of_run), over the seeds that both have; see study_summary."""
    pairs = [(mine[seed], others[seed]) for seed in mine if seed in others]
    if not pairs:
        return None
    if any(not np.array_equal(m["before"], o["before"]) for m, o in pairs):
        warn("runs of one seed began from different base models: were these made on machines that round differently?")
    difference: dict[str, Any] = {
        name: seed_interval(np.array([m[name] - o[name] for m, o in pairs])) for name in pairs[0][0]
    }
    if difference["steps"]["mean"]:  # means over unequal times say nothing of what was learnt
        difference["area"] = dict.fromkeys(difference["area"], math.nan)
    above = sum(m["pass@1"].mean() > o["pass@1"].mean() for m, o in pairs)
    return difference | {"pairs": len(pairs), "above": above}


def study_table(results: dict[str, Any], summary: list[dict[str, Any]]) -> str:
    """The summary of a study's results as a table in Markdown, and how long it took."""
    metrics = [name for name in ("pass@1", "pass@8", "pass_rate", "entropy") if name in summary[0]]
    titles = ["base", "condition", "lr", *metrics, "rise"]
    titles += ["pass@1 - baseline's", "detectable", "seeds above", "area - baseline's", "doubled by", "collapsed"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for line in summary:
        rate = f"{line['lr']:g}{' (edge)' * line['at_edge']}" if line["lr"] else ""
        cells = [line["panel"].replace("\n", ", "), line["label"], rate]
        cells += [f"{line[name]['mean']:.3f}" for name in metrics] + [f"{line['rise']['mean']:+.3f}"]
        if difference := line["difference"]:
            pass_1, area = (in_brackets(difference[name], "+") for name in ("pass@1", "area"))
            above = f"{difference['above']} of {difference['pairs']}"
            cells += [pass_1, f"{difference['pass@1']['detectable']:.3f}", above, area]
        else:
            cells += [""] * 4
        cells += [step_in_words(line["doubled"]), f"{line['collapsed']} of {line['seeds']}"]
        lines.append("| " + " | ".join(cells) + " |")
    tuned = f", and {len(results['tuning'])} to choose learning rates" if results["tuning"] else ""
    lines += [
        "",
        f"{len(results['runs'])} runs{tuned}, in {results['seconds'] / 60:.0f} minutes. Held-out results at the end, "
        "means over seeds. (edge): the best rate is an end of the range that was tried. Entropy: nats a token, in the "
        "last quarter of training; rise: full passes in training, last quarter minus the one before. Differences (to "
        "the binary reward, or to the first condition of a base) are paired by seed, in brackets their 95 % interval "
        "(Student's t over seeds); detectable: the smallest difference that the interval would tell from 0, four times "
        "in five; area: pass@1, mean over the run; doubled by: the first evaluation from which on pass@1 is at least "
        "twice that of the base models, median of the seeds (first to last); collapsed: ended below its base model.",
    ]
    return "\n".join(lines)


def step_in_words(steps: list[float]) -> str:
    words = ["never" if math.isinf(x) else f"{x:.0f}" for x in (np.median(steps), min(steps), max(steps))]
    return "" if math.isnan(steps[0]) else "{} ({} to {})".format(*words)


def panels_of(summary: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    panels: dict[str, list[dict[str, Any]]] = {}
    for line in summary:
        panels.setdefault(line["panel"], []).append(line)
    return panels


def plot_curves(summary: list[dict[str, Any]], file: Path) -> None:
    """The share of full passes (curve_of) under the first algorithm of each base: a panel a base."""
    panels = panels_of(summary)
    figure, axes = pyplot().subplots(1, len(panels), figsize=(3.2 * len(panels) + 0.5, 3.4), squeeze=False)
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
        first = lines[0]["condition"].get("algorithm")
        shown = [line for line in lines if first in (None, line["condition"].get("algorithm"))]
        for i, line in enumerate(shown):
            name, steps, values = line["curve"]
            band = [seed_interval(point[:, None]) for point in values.T]
            mean, low, high = ([point[end] for point in band] for end in ("mean", "low", "high"))
            color, style = COLORS.get(line["condition"].get("reward")), "--" if i // 8 % 2 else "-"
            (drawn,) = axis.plot(steps, mean, style, label=line["label"], color=color)
            axis.fill_between(steps, low, high, color=drawn.get_color(), alpha=0.12, linewidth=0)
        axis.set(title=title, xlabel="step", ylim=(0, None))
    axes[0, 0].set_ylabel(name)
    words = {"title": "band: 95 % over seeds", "title_fontsize": 8, "fontsize": 8}
    if len(axes[0, 0].lines) > 6:  # a legend that would hide them
        figure.set_figwidth(figure.get_figwidth() + 3)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", **words)
    else:
        axes[0, 0].legend(**words)
    save_figure(figure, file)


def plot_differences(summary: list[dict[str, Any]], file: Path) -> None:
    """Final held-out pass@1 of each condition minus that of the baseline, paired: a panel a base."""
    panels = panels_of([line for line in summary if line["difference"]])
    height = 1.4 + 0.3 * max(map(len, panels.values()), default=1)
    width = 3.2 + 0.07 * max([len(line["label"]) - 20 for lines in panels.values() for line in lines] + [0])
    figure, axes = pyplot().subplots(1, max(1, len(panels)), figsize=(width * len(panels) + 1.5, height), squeeze=False)
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=False):
        for place, line in enumerate(lines):
            difference, color = line["difference"]["pass@1"], COLORS.get(line["condition"].get("reward"))
            mean, low, high = (difference[name] for name in ("mean", "low", "high"))
            axis.errorbar(mean, -place, xerr=[[mean - low], [high - mean]], color=color, marker="o", capsize=2)
        labels = [line["label"] for line in lines]
        again = axis is not axes[0, 0] and labels == [line["label"] for line in next(iter(panels.values()))]
        axis.set_yticks([-place for place in range(len(lines))], [] if again else labels, fontsize=8)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.grid(visible=False, axis="y")
        axis.set(title=title, xlabel="final pass@1 - baseline's (95 %)")
    save_figure(figure, file)


# ----------------------------------------------------------------------------------------------------------------------
# The command line


def arguments(argv: list[str] | None) -> argparse.Namespace:
    def refuse(message: str) -> None:
        raise UsageError(f"{message} (see python study.py --help)")

    parser = argparse.ArgumentParser("study.py", description="Compare rewards and algorithms over paired seeds.")
    parser.error = refuse
    words = f"{', '.join(STUDIES)}, or a file, as the head of this one shows; none: that of --out, or rewards"
    parser.add_argument("study", nargs="?", default="", metavar="STUDY", help=words)
    words = "its folder; an interrupted study goes on, a whole one is only evaluated"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=words)
    words = "runs at the same time; default: one a core, on a GPU one"
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help=words)
    given = parser.parse_args(argv)
    if given.jobs < 0:
        raise UsageError(f"--jobs must not be negative, got {given.jobs}")
    return given


def chosen_study(name: str, folder: Path) -> dict[str, Any]:
    """One of STUDIES or that of a file; where none is named, that of which the folder holds results, or the first."""
    if not name and (folder / "results.json").exists():
        return read_results(folder / "results.json")["study"]
    if not name or name in STUDIES:
        return STUDIES[name or "rewards"]
    try:
        return json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"there is no study {name!r}: {', '.join(STUDIES)}, or a file ({error})") from None


def main(argv: list[str] | None = None) -> int:
    """Run a study, print its table, draw its figure. Returns 0, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        given = arguments(argv)
        pyplot(), student_t(0.5, 1)  # without their packages, an hour's runs would end without a figure
        folder = given.out or Path("runs") / f"study-{Path(given.study or 'rewards').stem}"
        results = run_study(chosen_study(given.study, folder), folder, given.jobs)
        summary = study_summary(results)
        table = study_table(results, summary)
        write_text(folder / "table.md", table + "\n")
        print(table)
        shown = [line for line in summary if line["tuned"]] or summary  # those at one rate are in the table
        plot_curves(shown, folder / "curves.png")
        plot_differences(shown, folder / "differences.png")
        print(f"\n{folder}/ holds results.json, table.md, curves.png and differences.png")
        return 0
    except (UsageError, SandboxError) as error:
        print(f"\rstudy: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstudy: interrupted; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
