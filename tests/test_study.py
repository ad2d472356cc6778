"""tutorials/study.py: the grid, its results, and what is computed from them."""

import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import dynamic_sampling
import numpy as np
import pytest
import study as studies
import torch
from conftest import tiny_model
from study import (
    REMEDIES,
    STUDIES,
    STUDY,
    RememberingSandbox,
    check_study,
    conditions_of,
    crossed_interval,
    run_study,
    seed_interval,
    seeded_runs,
    study_run,
    study_summary,
    study_table,
    tuning_runs,
)

import minirl
from minirl import Call, Program, Sandbox, UsageError

SETTINGS = {"steps": 2, "eval_every": 1, "eval_size": 3, "eval_samples": 2, "problems_per_step": 2, "group_size": 2}
SETTINGS |= {"max_new_tokens": 8, "lr": 1e-3, "levels": [1]}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer):
    """A model's folder: a worker of a study loads what it needs."""
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def row(reward, seed, counts, before=((0, 0), (0, 0)), **others):
    """A row of results: two problems of two tests, two samples each."""
    evaluations = {step: [list(c) for c in cells] for step, cells in (("0", before), ("1", before), ("2", counts))}
    run = {"reward": reward, **others, "seed": seed}
    return {
        "run": run,
        "seconds": 1.0,
        "training": {"full_pass": [0.0, 1.0]},
        "tests": [2, 2],
        "evaluations": evaluations,
    }


def test_the_studies_of_the_repository_are_studies():
    for study in STUDIES.values():
        check_study(study)
    seeds: dict[tuple, set] = {}
    for run in seeded_runs(STUDY):
        condition = (run["toy_noise"], run["algorithm"], run["reward"], run.get("lr"))
        seeds.setdefault(condition, set()).add(run["seed"])
    for noise, algorithm in itertools.product((0.35, 0.5, 0.7, 0.82), ("grpo", "rloo")):
        for reward in ("gated", "hard_tests"):
            assert seeds.pop((noise, algorithm, reward, None)) == {0, 1, 2, 3, 4}
            rate = 4e-4 if noise < 0.7 else 2e-4
            assert seeds.pop((noise, algorithm, reward, rate)) == {0, 1, 2, 3, 4}, "and these, at one rate"
        for reward in ("binary", "pass_rate"):
            assert seeds.pop((noise, algorithm, reward, None)) == set(range(8))
            assert seeds.pop((noise, algorithm, reward, 2e-4)) == set(range(5)), "the pair once more, at one rate"
    assert set(seeds) == {(noise, x, "binary", 4e-4) for noise in (0.35, 0.5) for x in ("grpo", "rloo")}
    tried = [(run["lr"], run["toy_seed"]) for run in tuning_runs(STUDY, conditions_of(STUDY)[0])]
    assert sorted(tried) == [(lr, base) for lr in (1e-4, 2e-4, 4e-4) for base in (100, 101)], "no base of the study"


@pytest.mark.parametrize(
    "study, words",
    [
        ({"grids": [{"reward": ["binary"]}], "seeds": [0], "sedes": 1}, "sedes"),
        ({"grids": [{"reward": ["no_such"]}], "seeds": [0]}, "no_such"),
        ({"grids": [{"rewards": ["binary"]}], "seeds": [0]}, "rewards"),
        ({"grids": [{"reward": ["binary", "binary"]}], "seeds": [0]}, "none twice"),
        ({"grids": [{"reward": ["binary"]}], "seeds": []}, "at least one run"),
        ({"grids": [{"reward": ["binary"]}]}, "seeds"),
        ({"grids": [{"reward": ["binary"]}], "seeds": [0], "tune": {"lr_factors": [1]}}, "seed"),
        (
            {"grids": [{"reward": ["binary"]}], "seeds": [0], "tune": {"lr_factors": [1], "seed": 9, "group_size": 1}},
            "group_size",
        ),
        ({"grids": [{"reward": ["binary"]}], "seeds": [0], "tune": {"lr_factors": [], "seed": 9}}, "lr_factors"),
        ([], "not a study"),
    ],
)
def test_a_wrong_study_is_a_sentence(study, words):
    with pytest.raises(UsageError, match=words):
        check_study(study)


def test_a_study_runs_what_is_missing_with_the_best_learning_rate(model, tmp_path):
    """As a program; near_miss is a reward that its processes know because they import study.py."""
    study = {
        "grids": [{"reward": ["binary", "near_miss"]}],
        "seeds": [0, 1],
        "settings": SETTINGS | {"model": model},
        "tune": {"lr_factors": [1, 0.5], "seed": 9, "steps": 1},
    }
    tuned = [row(reward, 9, [], lr=lr, steps=1) for reward in ("binary", "near_miss") for lr in (1e-3, 5e-4)]
    for done, scores in zip(tuned, ([0.1], [0.2], [0.4], [0.3]), strict=True):
        done["training"]["full_pass"] = scores
        order = ("reward", "lr", "seed", "steps")
        done["run"] = {name: done["run"][name] for name in order}
    marked = row("binary", 0, [], lr=5e-4)
    marked |= {"tests": [10] * 3, "evaluations": {step: [[10, 7]] * 3 for step in "012"}}
    results = {"study": study, "seconds": 100.0, "tuning": tuned, "runs": [marked]}
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "study.json").write_text(json.dumps(study))
    command = [sys.executable, studies.__file__, tmp_path / "study.json", "--out", tmp_path, "--jobs", "1"]
    environment = os.environ | {"PYTHONPATH": str(Path(minirl.__file__).parent)}
    shown = subprocess.run(command, env=environment, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert (tmp_path / "table.md").read_text() in shown and "| near_miss | 0.001 (edge) |" in shown
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["seconds"] > 100
    assert results["tuning"] == tuned and results["runs"][0] == marked  # were there
    found = {(r["run"]["reward"], r["run"]["seed"]): r for r in results["runs"]}
    assert {key: r["run"]["lr"] for key, r in found.items()} == {
        ("binary", 0): 5e-4, ("binary", 1): 5e-4, ("near_miss", 0): 1e-3, ("near_miss", 1): 1e-3
    }  # fmt: skip
    last = found["near_miss", 1]
    assert len(last["training"]["full_pass"]) == 2 and sorted(last["evaluations"]) == ["0", "1", "2"]
    assert last["tests"] == [10] * 3 and [len(counts) for counts in last["evaluations"]["2"]] == [2, 2, 2]
    kept = next(tmp_path.glob("runs/*near_miss-1-*"))
    assert (kept / "rollouts" / "step_000002.jsonl").exists() and not (kept / "checkpoint").exists()
    other = found["binary", 1]
    assert last["evaluations"]["0"] == other["evaluations"]["0"], "the runs of a seed begin with the same samples"
    assert run_study(study, tmp_path) == results, "nothing is left to do"
    assert run_study(study | {"seeds": [1]}, tmp_path)["runs"] == results["runs"], "a study may grow, or shrink"
    with pytest.raises(UsageError, match="other settings"):
        run_study(study | {"settings": SETTINGS}, tmp_path)


def tuning_rows(scores):
    """Rows of results: {rate: the score of each base}."""
    return [
        {"run": {"reward": "gated", "seed": 9, "toy_seed": i, "lr": rate}, "training": {"full_pass": [0.0, score]}}
        for rate, of_rate in scores.items()
        for i, score in enumerate(of_rate)
    ]


def test_the_range_of_learning_rates_grows_until_the_best_one_is_inside():
    tune = {"lr_factors": [0.5, 1, 2], "seed": 9, "toy_seed": [0, 1], "grow": 2}
    study = {"grids": [{"reward": ["gated"]}], "seeds": [0], "settings": {"lr": 0.25}, "tune": tune}

    def rates(scores):
        runs = tuning_runs(study, {"reward": "gated"}, tuning_rows(scores))
        return sorted({run["lr"] for run in runs})

    def tuned(scores):
        return studies.tuned_rate(study, tuning_rows(scores), {"reward": "gated", "seed": 3})["lr"]

    first = {0.125: [0.1, 0.2], 0.25: [0.3, 0.2], 0.5: [0.4, 0.3]}
    assert rates({}) == rates({0.125: [0.5, 0.5]}) == [0.125, 0.25, 0.5], "not before the range is known"
    assert rates(first) == [0.125, 0.25, 0.5, 1.0]
    assert tuned(first | {1.0: [0.0, 0.5]}) == 0.5, "the mean of both bases counts"
    assert rates(first | {1.0: [0.5, 0.5]}) == [0.125, 0.25, 0.5, 1.0, 2.0]
    last = first | {1.0: [0.5, 0.5], 2.0: [0.6, 0.6]}
    assert rates(last) == [0.125, 0.25, 0.5, 1.0, 2.0] and tuned(last) == 2.0, "twice is enough"
    assert rates(first | {0.125: [0.9, 0.9]}) == [0.0625, 0.125, 0.25, 0.5]
    assert tuned({0.5: [0.5, 0.4], 0.125: [0.4, 0.5], 0.25: [0.3, 0.2], 0.0625: [0.0, 0.0]}) == 0.125, (
        "of equals the lower"
    )
    assert tuning_runs(study, {"reward": "gated", "lr": 0.25}) == [], "a rate that is given is not tuned"


def test_a_study_goes_on_tuning_while_the_best_rate_is_at_an_edge(tmp_path, monkeypatch):
    def finish(pool, results, place, runs, folder, **settings):
        for run in studies.missing(results[place], runs):
            places.append((place, run["lr"], settings.get("eval_every")))
            score = 1.0 - abs(run["lr"] - 1.5)  # the best rate is not in the first range
            yield row(run["reward"], run["seed"], []) | {"run": run, "training": {"full_pass": [0.0, score]}}

    places: list = []
    monkeypatch.setattr(studies, "workers", lambda jobs, log: studies.contextlib.nullcontext())
    monkeypatch.setattr(studies, "make_bases", lambda pool, runs: None)
    monkeypatch.setattr(studies, "run_missing", finish)
    tune = {"lr_factors": [0.5, 1, 2], "seed": 9, "grow": 2}
    study = {"grids": [{"reward": ["gated"]}], "seeds": [0], "settings": {"lr": 0.25}, "tune": tune}
    results = run_study(study, tmp_path)
    assert places == [("tuning", rate, 0) for rate in (0.125, 0.25, 0.5, 1.0, 2.0)] + [("runs", 1.0, None)]
    assert run_study(study, tmp_path) == results and len(places) == 6, "what was grown is known again"


def test_a_rate_that_is_given_and_is_the_best_one_is_run_once():
    tune = {"lr_factors": [0.5, 1], "seed": 9, "toy_seed": [0, 1]}
    grids = [{"reward": ["gated"]}, {"reward": ["gated"], "lr": [0.25, 0.125]}, {"reward": ["elite"], "seed": [0, 5]}]
    study = {"grids": grids, "seeds": [0, 1], "settings": {"lr": 0.25}, "tune": tune}
    done = tuning_rows({0.125: [0.1, 0.2], 0.25: [0.3, 0.2]})
    done += [{**row, "run": row["run"] | {"reward": "elite"}} for row in done]
    results = {"study": study, "seconds": 1.0, "tuning": done, "runs": []}
    runs = studies.tuned_runs(study, results, seeded_runs(study))
    given = [(run["reward"], run["lr"], run["seed"]) for run in runs]
    assert sorted(given) == sorted(
        [("gated", lr, seed) for lr in (0.25, 0.125) for seed in (0, 1)] + [("elite", 0.25, seed) for seed in (0, 5)]
    )
    results["runs"] = [row("gated", seed, [(2, 2), (2, 0)], lr=0.25) for seed in (0, 1)]
    found = study_summary(results)
    assert [line["condition"].get("lr") for line in found] == [None, 0.25], "the same two runs answer both questions"
    assert [line["seeds"] for line in found] == [2, 2]


def test_runs_whose_settings_have_the_same_values_have_folders_of_their_own(monkeypatch):
    class Pool:
        def submit(self, run, settings, folder):
            folders.append(folder)
            future = studies.concurrent.futures.Future()
            future.set_result({})
            return future

    folders: list = []
    runs = [
        {"group_size": 4, "seed": 0},
        {"problems_per_step": 4, "seed": 0},
        {"stages": [{"levels": [1]}] * 40, "seed": 0},
    ]
    results = {"study": {"grids": [], "seeds": [0]}, "runs": []}
    assert len(list(studies.run_missing(Pool(), results, "runs", runs, Path("x")))) == 3
    assert len(set(folders)) == 3 and max(len(folder.name) for folder in folders) < 120


def test_a_killed_run_of_a_study_goes_on(model, tmp_path, monkeypatch):
    settings = SETTINGS | {"model": model, "reward": "pass_rate", "save_every": 1}
    whole = study_run(settings, tmp_path / "whole")
    append = minirl.append_jsonl

    def die(path, line):
        append(path, line)
        if line["step"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(minirl, "append_jsonl", die)
    with pytest.raises(KeyboardInterrupt):
        study_run(settings, tmp_path / "killed")
    monkeypatch.undo()
    assert (tmp_path / "killed" / "checkpoint").exists()
    resumed = study_run(settings, tmp_path / "killed")
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}


def test_a_run_with_stages_goes_from_one_to_the_next(model, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def first(outcomes, mask, rollout): return rollout.completion_ids[..., 0].float()"
    )
    settings = SETTINGS | {"model": model, "lr": 0.05, "seed": 3}
    stages = [{"reward": f"{tmp_path / 'mine.py'}:first", "steps": 2}, {"levels": [1, 2], "steps": 3}]
    check_study({"grids": [{"stages": [stages]}], "seeds": [0], "settings": settings})
    with pytest.raises(UsageError, match="no_such"):
        check_study({"grids": [{"stages": [[{}, {"reward": "no_such"}]]}], "seeds": [0]})
    found = study_run(settings | {"stages": stages}, tmp_path / "run")
    assert list(found["evaluations"]) == ["0", "1", "2", "3", "4", "5"] and len(found["training"]["full_pass"]) == 5
    first, second = (minirl.read_jsonl(tmp_path / f"run/stage_{i}/metrics.jsonl") for i in (1, 2))
    assert found["training"]["entropy"] == [round(row["entropy"], 4) for row in (*first, *second) if row["step"]]
    of_stages = [json.loads((tmp_path / f"run/stage_{i}/config.json").read_text()) for i in (1, 2)]
    assert [config["reward"] for config in of_stages] == [stages[0]["reward"], "binary"]
    texts = [
        text
        for row in minirl.read_jsonl(tmp_path / "run/stage_2/evaluations/step_000003.jsonl")
        for text in row["completions"]
    ]
    assert found["programs"][0][1] == max(map(texts.count, texts)) and len(found["programs"]) == min(5, len(set(texts)))
    assert of_stages[1]["model"] == str(tmp_path / "run/stage_1") and of_stages[1]["levels"] == [1, 2]
    alone = study_run(settings | stages[1], tmp_path / "alone")
    assert alone["training"]["entropy"] != found["training"]["entropy"][2:], "it began with the weights of the first"
    assert not list(tmp_path.glob("run/*/checkpoint"))


def test_all_stages_are_evaluated_on_the_problems_of_the_run_and_none_draws_again_what_another_drew(model, tmp_path):
    settings = SETTINGS | {"model": model, "levels": [1, 2, 3], "lr": 0.0, "seed": 3, "eval_size": 5}
    plain = study_run(settings | {"steps": 4}, tmp_path / "plain")
    staged = study_run(settings | {"stages": [{"levels": [1]}, {}]}, tmp_path / "staged")
    assert plain["tests"] == staged["tests"] and plain["evaluations"]["0"] == staged["evaluations"]["0"]
    assert [len(problems) for problems in staged["evaluations"].values()] == [5] * 5
    first, second = staged["training"]["entropy"][:2], staged["training"]["entropy"][2:]
    assert first != second, "a model that learns nothing"
    plain_again = study_run(settings | {"stages": [{}, {}]}, tmp_path / "again")["training"]["entropy"]
    assert plain_again[:2] == plain["training"]["entropy"][:2] != plain_again[2:]


def test_conditions_are_compared_within_their_base():
    stages = [[{"reward": "gated", "steps": 2}, {"steps": 3}]]
    grids = [{"toy_noise": [0.5, 0.7], **grid} for grid in ({"reward": ["binary"]}, {"lr": [0.1]}, {"stages": stages})]
    study = {"grids": grids, "seeds": [0], "compare": ["toy_noise"]}
    pairs = {studies.panel_and_label(study, x): studies.baseline_of(study, x) for x in conditions_of(study)}
    labels = ("binary", "lr 0.1", "gated then all as usual")
    assert set(pairs) == {(f"toy_noise {noise}", label) for noise in (0.5, 0.7) for label in labels}
    for (panel, _), baseline in pairs.items():
        assert baseline == {"toy_noise": float(panel.split()[1]), "reward": "binary"}
    runs = [
        row("binary", 0, [(2, 0), (1, 1)], toy_noise=0.5),
        row("binary", 0, [(2, 2), (2, 2)], toy_noise=0.5, lr=0.1),
    ]
    del runs[1]["run"]["reward"]
    found = study_summary({"study": study, "seconds": 1.0, "tuning": [], "runs": runs})
    assert [line["label"] for line in found] == ["binary", "lr 0.1"] and found[0]["difference"] is None
    assert found[1]["difference"]["pass@1"]["mean"] == pytest.approx(0.75)
    alone = {"grids": [{"lr": [0.1], "reward": ["elite"]}], "seeds": [0]}
    assert studies.baseline_of(alone, {"lr": 0.1, "reward": "elite"}) == {"lr": 0.1, "reward": "binary"}


def test_remedies_draw_as_many_programs_as_what_they_are_compared_with():
    conditions = conditions_of(REMEDIES)
    usual = {"toy_noise": 0.7, "steps": 600, "lr": 2e-4}
    assert len(conditions) == 34 and conditions[0] == usual | {"reward": "binary"}
    for condition in conditions:
        programs = 0
        problems = minirl.toy_problems("train", condition.get("families", list(minirl.FAMILIES)))
        for stage in studies.stages_of(condition):
            config = studies.config_of(stage)
            programs += config.steps * config.problems_per_step * config.group_size
            programs += len(problems) * config.eval_samples * (config.min_pass > 0)
        steps = {0.7: 600, 0.82: 1000}[condition["toy_noise"]]
        total = steps * 96 * (2 if condition["steps"] > steps else 1)
        assert total - 96 < programs <= total, condition


def test_a_run_that_redraws_dead_groups_is_dynamic_samplings(model, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(
        dynamic_sampling, "train", lambda *args, **settings: found.append(settings) or studies.train(*args)
    )
    study_run(SETTINGS | {"model": model, "live_groups": 3}, tmp_path / "run")
    assert found == [{"live_groups": 3}]


def test_without_a_baseline_only_samples_with_a_reward_push(model, tmp_path, monkeypatch):
    found, rewards = [], torch.tensor([[0.0, 1.0], [0.0, 0.0]])

    def trained(*arguments):
        found.append(minirl.ADVANTAGES["reinforce"](rewards).tolist())
        train(*arguments)

    train = studies.train
    monkeypatch.setattr(studies, "train", trained)
    settings = SETTINGS | {"model": model, "algorithm": "reinforce"}
    for name, baseline in (("without", {"baseline": "none"}), ("with", {})):
        study_run(settings | baseline, tmp_path / name)
    assert found == [[[0.0, 1.0], [0.0, 0.0]], [[-0.25, 0.75], [-0.25, -0.25]]]


def test_the_interval_knows_how_seeds_and_problems_vary():
    assert crossed_interval(np.full((5, 7), 0.25)) == pytest.approx((0.25, 0.25, 0.25))
    rng = np.random.default_rng(1)
    seeds, problems = rng.normal(size=(200, 1)), rng.normal(size=(1, 300))
    of_seeds, of_problems = seeds.std() / 200**0.5, problems.std() / 300**0.5
    for values, error in (
        (seeds + np.zeros((1, 300)), of_seeds),
        (problems + np.zeros((200, 1)), of_problems),
        (seeds + problems, math.hypot(of_seeds, of_problems)),
    ):
        mean, low, high = crossed_interval(values)
        assert mean == pytest.approx(values.mean())
        assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_the_interval_is_right_with_few_seeds():
    """It holds the mean of all seeds and problems in 19 cases of 20, with five seeds and some values missing."""
    rng, inside = np.random.default_rng(2), 0
    for _ in range(200):
        values = rng.normal(size=(5, 1)) + 0.3 * rng.normal(size=(5, 16))
        _, low, high = crossed_interval(np.where(rng.random((5, 16)) < 0.2, math.nan, values))
        inside += low <= 0 <= high
    assert 0.92 <= inside / 200 <= 0.99


def test_the_interval_over_seeds_is_students_and_knows_its_power():
    found = seed_interval(np.array([[0.1, 0.3], [0.4, 0.4], [0.6, 0.6], [0.3, 0.5], [0.0, 0.4]]))
    means = [0.2, 0.4, 0.6, 0.4, 0.2]
    error = np.std(means, ddof=1) / 5**0.5
    assert found["mean"] == pytest.approx(0.36)
    assert found["high"] - 0.36 == pytest.approx(2.776 * error, rel=1e-3) == 0.36 - found["low"]
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 5, 1))
    intervals = [seed_interval(x) for x in noise]
    wrong = np.mean([not x["low"] < 0 < x["high"] for x in intervals])
    assert 0.04 < wrong < 0.06, "95 % means 95 %, with five seeds"
    far = np.mean([x["detectable"] for x in intervals])
    seen = np.mean([x["low"] + far > 0 for x in intervals])
    assert 0.75 < seen < 0.9, "a true difference of that size is seen four times in five"
    alone = seed_interval(np.array([[0.1, 0.3]]))
    assert alone["mean"] == pytest.approx(0.2) and math.isnan(alone["low"])
    assert studies.in_brackets(alone) == "0.200" and studies.in_brackets(found, "+", 2) == "+0.36 [+0.15, +0.57]"


def test_the_summary_pairs_seeds_and_counts_collapsed_runs(capsys):
    study = {"grids": [{"reward": ["binary", "gated"]}], "seeds": [0, 1]}
    runs = [
        row("gated", 1, [(2, 2), (2, 0)]),  # pass@1 1 and 1/2
        row("binary", 0, [(2, 0), (1, 1)]),  # 1/2 and 0
        row("binary", 1, [(0, 0), (0, 0)], before=[(2, 0), (0, 0)]),  # collapsed
        row("gated", 0, [(2, 0), (0, 0)]),
    ]
    results = {"study": study, "seconds": 60.0, "tuning": [], "runs": runs}
    binary, gated = study_summary(results)
    assert "began from different base models" in capsys.readouterr().err  # seed 1
    assert binary["difference"] is None and binary["collapsed"] == 1 and gated["collapsed"] == 0
    assert binary["pass@1"]["mean"] == pytest.approx(0.125) and gated["pass@1"]["mean"] == pytest.approx(0.5)
    assert binary["pass@2"]["mean"] == pytest.approx(0.25) and binary["pass_rate"]["mean"] == pytest.approx(0.25)
    assert gated["area"]["mean"] == pytest.approx(0.125) and binary["before"]["mean"] == pytest.approx(0.125)
    difference = gated["difference"]["pass@1"]
    assert difference["mean"] == pytest.approx((0 + 0.75) / 2)
    assert difference["low"] == pytest.approx(0.375 - 12.706 * 0.375, abs=1e-3), (
        "Student's t with one degree of freedom"
    )
    assert binary["rise"]["mean"] == 1.0, "from 0 in the last quarter but one to 1 in the last"
    assert gated["difference"]["above"] == 1 and gated["difference"]["pairs"] == 2
    table = study_table(results, [binary, gated])
    shown = studies.in_brackets(difference, "+")
    assert "|  | gated |  | 0.500 |" in table and f"| {shown} | {difference['detectable']:.3f} | 1 of 2 |" in table
    first_seed = {**results, "runs": runs[:1] + runs[1:2]}
    assert study_summary(first_seed)[1]["difference"] is None, "no pair yet"
    assert capsys.readouterr().err == ""
    assert gated["difference"]["area"]["mean"] == 0, "+0.25 and -0.25"
    for longer in (runs[0], runs[3]):
        longer["evaluations"]["4"] = longer["evaluations"]["2"]
    assert math.isnan(study_summary(results)[1]["difference"]["area"]["mean"]), "means over unequal times"


def test_pass_1_doubles_at_a_step_of_each_seed():
    rows = [row("binary", seed, [(2, 2), (2, 2)], [(2, 0), (0, 0)]) for seed in (0, 1, 2)]  # a quarter passes before
    for seed, counts in enumerate([[(2, 2), (2, 0)], [(2, 0), (2, 0)], [(0, 0), (2, 0)]]):
        rows[seed]["evaluations"]["1"] = counts
    rows[2]["evaluations"]["2"] = [(2, 0), (0, 0)]
    assert studies.steps_doubled(rows) == [1.0, 1.0, math.inf]
    rows[0]["evaluations"]["2"] = [(1, 1), (2, 2)]
    assert studies.steps_doubled(rows[:1]) == [1.0], "it stays there"
    rows[0]["evaluations"]["2"] = [(1, 1), (2, 0)]
    assert studies.steps_doubled(rows[:1]) == [math.inf], "once is not enough"
    assert math.isnan(studies.steps_doubled([row("binary", 0, [(2, 2), (2, 2)])])[0]), "twice nothing is nothing"
    assert studies.step_reached([0, 100], [0.3, 0.4], 0.2) == 0.0
    assert studies.step_in_words([120.0, 80.0, math.inf]) == "120 (80 to never)"
    assert studies.step_in_words([math.nan]) == ""


def test_a_figure_and_a_table_come_from_saved_results_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = {"grids": [{"reward": ["binary", "gated"]}], "seeds": [0]}
    runs = [row("gated", 0, [(2, 2), (2, 0)]), row("binary", 0, [(2, 0), (1, 1)])]
    Path("done").mkdir()
    results = {"study": study, "seconds": 60.0, "tuning": [], "runs": runs}
    Path("done/results.json").write_text(json.dumps(results))
    assert studies.main(["--out", "done"]) == 0
    assert Path("done/table.md").read_text().strip() in capsys.readouterr().out
    assert all(Path(f"done/{name}.png").stat().st_size > 10_000 for name in ("curves", "differences"))
    wrong = ["nowhere.json", "done/table.md", "quick --jobs", "done/results.json", "--jobs -1", "--sed"]
    for line in wrong:
        assert studies.main(line.split()) == 2
        assert capsys.readouterr().err.count("\n") == 1
    Path("done/results.json").write_text("{}")
    assert studies.main(["--out", "done"]) == 2 and "results" in capsys.readouterr().err


def test_a_study_that_is_interrupted_says_how_it_goes_on(capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies, "run_study", interrupted)
    assert studies.main(["quick"]) == 130 and "the same command goes on" in capsys.readouterr().err


def test_a_study_without_matplotlib_says_so_before_it_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setattr(studies, "run_study", lambda *_: pytest.fail("it runs"))
    assert studies.main(["quick", "--out", str(tmp_path / "q")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_the_study_of_the_docstring_is_one(tmp_path, monkeypatch):
    (tmp_path / "my_file.py").write_text("from minirl import binary as mine\n")
    monkeypatch.chdir(tmp_path)
    study = json.loads(re.search(r"^    (\{.*?\})\n\n", studies.__doc__, re.DOTALL | re.MULTILINE)[1])
    check_study(study)
    assert len(conditions_of(study)) == 6 and len(seeded_runs(study)) == 24


def test_a_remembering_sandbox_runs_a_program_once_unless_the_clock_decided(tmp_path, monkeypatch):
    ran = []
    run = Sandbox._run
    monkeypatch.setattr(Sandbox, "_run", lambda self, *args: ran.append(args[1]) or run(self, *args))
    right = Program("def f(x): return x", [Call((1,), 1)], "f")
    other = Program(right.source, [Call((1,), 1), Call((2,), 3)], "f")
    endless = Program("def f(x):\n    while True: pass", [Call((1,), 1)], "f")
    for limit in (0.2, 0.2, 0.3):  # another process, so to speak; another limit is another sandbox
        with RememberingSandbox(tmp_path / "known.sqlite", 1, limit) as sandbox:
            for program, verdicts in ((right, "passed"), (other, "passed wrong_answer"), (endless, "timeout")):
                for _ in range(2):
                    assert " ".join(sandbox.submit(program).result().verdicts) == verdicts
                    time.sleep(0.05)  # a result is kept just after it is there
    assert ran == [right, other, endless, endless, endless, endless, right, other, endless, endless]
