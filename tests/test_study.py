"""tutorials/study.py: the grid, its results, and what is computed from them."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import study as studies
from conftest import tiny_model
from rewards import OTHER_REWARDS
from study import (
    QUICK_STUDY,
    STUDY,
    RememberingSandbox,
    check_study,
    conditions_of,
    crossed_interval,
    run_study,
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
    evaluations = {"0": [list(c) for c in before], "2": [list(c) for c in counts]}
    run = {"reward": reward, **others, "seed": seed}
    return {
        "run": run,
        "seconds": 1.0,
        "training": {"full_pass": [0.0, 1.0]},
        "tests": [2, 2],
        "evaluations": evaluations,
    }


def test_the_studies_of_the_repository_are_studies():
    for study in (STUDY, QUICK_STUDY):
        check_study(study)
    conditions = conditions_of(STUDY)
    main = {(c["toy_noise"], c["algorithm"], c["reward"]) for c in conditions}
    for reward in ("binary", "pass_rate", "gated", "hard_tests"):
        assert {(noise, a, reward) for noise in (0.65, 0.47, 0.3) for a in ("grpo", "rloo")} <= main
    ten = {"binary", "pass_rate", "gated", "hard_tests", *OTHER_REWARDS}
    assert {reward for noise, _, reward in main if noise == 0.65} == ten
    assert len(STUDY["seeds"]) == 5 and (0.65, "dr_grpo", "binary") in main
    assert [run["lr"] for run in tuning_runs(STUDY, conditions[0])] == pytest.approx([2e-4, 4e-4, 8e-4])


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
    assert (tmp_path / "table.md").read_text() in shown and "| near_miss | 0.001 |" in shown
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
    kept = next(tmp_path.glob("runs/*near_miss*1"))
    assert (kept / "rollouts" / "step_000002.jsonl").exists() and not (kept / "checkpoint").exists()
    other = found["binary", 1]
    assert last["evaluations"]["0"] == other["evaluations"]["0"], "the runs of a seed begin with the same samples"
    assert run_study(study, tmp_path) == results, "nothing is left to do"
    with pytest.raises(UsageError, match="another study"):
        run_study(study | {"seeds": [0]}, tmp_path)


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


def test_the_interval_resamples_seeds_and_problems():
    assert crossed_interval(np.full((5, 7), 0.25)) == pytest.approx((0.25, 0.25, 0.25))
    rng = np.random.default_rng(1)
    seeds, problems = rng.normal(size=(200, 1)), rng.normal(size=(1, 300))
    for values, error in (
        (seeds + np.zeros((1, 300)), seeds.std() / 200**0.5),
        (problems + np.zeros((200, 1)), problems.std() / 300**0.5),
    ):
        mean, low, high = crossed_interval(values)
        assert mean == pytest.approx(values.mean())
        assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_the_summary_pairs_seeds_and_counts_collapsed_runs():
    study = {"grids": [{"reward": ["binary", "gated"]}], "seeds": [0, 1]}
    runs = [
        row("gated", 1, [(2, 2), (2, 0)]),  # pass@1 1 and 1/2
        row("binary", 0, [(2, 0), (1, 1)]),  # 1/2 and 0
        row("binary", 1, [(0, 0), (0, 0)], before=[(2, 0), (0, 0)]),  # collapsed
        row("gated", 0, [(2, 0), (0, 0)]),
    ]
    results = {"study": study, "seconds": 60.0, "tuning": [], "runs": runs}
    binary, gated = study_summary(results)
    assert binary["difference"] is None and binary["collapsed"] == 1 and gated["collapsed"] == 0
    assert binary["pass@1"][0] == pytest.approx(0.125) and gated["pass@1"][0] == pytest.approx(0.5)
    assert binary["pass@2"][0] == pytest.approx(0.25) and binary["pass_rate"][0] == pytest.approx(0.25)
    assert gated["area"][0] == pytest.approx(0.25) and binary["before"][0] == pytest.approx(0.125)
    mean, low, high = gated["difference"]["pass@1"]
    assert mean == pytest.approx((0 + 0.75) / 2) and low == 0 and high == 1 and gated["difference"]["above"] == 1
    table = study_table(results, [binary, gated])
    assert "| gated |  | 0.500 |" in table and "| +0.375 [+0.000, +1.000] | 1 of 2 |" in table and "| 1 of 2 |" in table
    first_seed = {**results, "runs": runs[:1] + runs[1:2]}
    assert study_summary(first_seed)[1]["difference"] is None, "no pair yet"


def test_a_figure_and_a_table_come_from_saved_results_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = {"grids": [{"reward": ["binary", "gated"]}], "seeds": [0]}
    runs = [row("gated", 0, [(2, 2), (2, 0)]), row("binary", 0, [(2, 0), (1, 1)])]
    Path("done").mkdir()
    results = {"study": study, "seconds": 60.0, "tuning": [], "runs": runs}
    Path("done/results.json").write_text(json.dumps(results))
    assert studies.main(["--out", "done"]) == 0
    assert Path("done/table.md").read_text().strip() in capsys.readouterr().out
    assert Path("done/figure.png").stat().st_size > 10_000
    wrong = ["nowhere.json", "done/table.md", "--quick done/results.json", "done/results.json", "--jobs -1", "--sed"]
    for line in wrong:
        assert studies.main(line.split()) == 2
        assert capsys.readouterr().err.count("\n") == 1
    Path("done/results.json").write_text("{}")
    assert studies.main(["--out", "done"]) == 2 and "results" in capsys.readouterr().err


def test_a_study_that_is_interrupted_says_how_it_goes_on(capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies, "run_study", interrupted)
    assert studies.main(["--quick"]) == 130 and "the same command goes on" in capsys.readouterr().err


def test_a_study_without_matplotlib_says_so_before_it_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setattr(studies, "run_study", lambda *_: pytest.fail("it runs"))
    assert studies.main(["--quick", "--out", str(tmp_path / "q")]) == 2
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
