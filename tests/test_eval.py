"""Evaluations: measured, kept, compared; and the choice of problems that they allow."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_problems import MBPP, written
from test_runs import assert_same_run
from test_train import run_main

from minirl import (
    Config,
    UsageError,
    columns_of,
    compare,
    interval,
    is_toy,
    pass_at_k,
    read_jsonl,
    summarize,
    toy_problems,
    train,
    verdict_mix,
    write_jsonl,
)

SMALL = {"problems_per_step": 2, "group_size": 2, "workers": 1, "eval_size": 3, "eval_samples": 2, "steps": 2}


def row(task_id, *groups):
    verdicts = [
        ["passed" if mark == "1" else "wrong_answer" if mark == "0" else "timeout" for mark in g] for g in groups
    ]
    return {"task_id": task_id, "outcomes": [[int(mark == "1") for mark in g] for g in groups], "verdicts": verdicts}


def test_columns_are_those_of_the_unbiased_estimate():
    rows = [row("a", *["11"] * 3, *["10"] * 7), row("b", *["00"] * 10)]
    columns = columns_of(rows)
    assert list(columns) == ["pass@1", "pass@8", "pass@10", "pass_rate"]
    for k in (1, 8, 10):
        assert columns[f"pass@{k}"].tolist() == [pass_at_k(10, 3, k), 0.0]
    assert columns["pass_rate"].tolist() == pytest.approx([0.65, 0.0])
    with pytest.raises(UsageError, match="different sizes"):
        columns_of([row("a", "1"), row("b", "1", "1")])


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(size=400)
    mean, low, high = interval(values)
    error = values.std() / 20
    assert mean == pytest.approx(values.mean())
    assert (mean - low) / error == pytest.approx(1.96, abs=0.25) == (high - mean) / error


def test_the_verdict_mix_counts_samples_by_what_stopped_them_first():
    rows = [row("a", "11", "10"), row("b", "t0", "0t")]
    assert verdict_mix(rows) == {"wrong_answer": 0.5, "passed": 0.25, "timeout": 0.25}


def test_a_comparison_takes_the_difference_problem_by_problem(tmp_path):
    """Problems differ a lot, runs a little: the interval of the difference is that of the little."""
    a = [row(f"p{i}", *(["1"] * i + ["0"] * (20 - i))) for i in range(1, 20)]
    b = [row(f"p{i}", *(["1"] * (i + 1) + ["0"] * (19 - i))) for i in range(1, 20)] + [row("only in b", *["1"] * 20)]
    write_jsonl(tmp_path / "a.jsonl", a)
    write_jsonl(tmp_path / "b.jsonl", b[::-1])
    text = compare([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    line = next(line for line in text.splitlines() if "pass@1 " in line)
    assert line.split()[1] == "0.500" and line.endswith("+0.050 [+0.05, +0.05]") and "19 problems of both" in text


def test_eval_measures_keeps_and_compares(toy, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    flags = ["--workers", 1, "--eval-size", 4, "--levels", 1, 2]
    code, out, _ = run_main(capsys, "eval", "--samples", 16, "--out", "a.jsonl", *flags)
    assert code == 0 and all(name in out for name in ("pass@1 ", "pass@8 ", "pass@16 ", "pass_rate", "samples: "))
    kept = read_jsonl(Path("a.jsonl"))
    assert out.splitlines()[2].split()[1] == f"{summarize(kept)['pass@1']:.3f}"
    for saved in kept:
        (problem,) = [p for p in toy_problems("test") if p.task_id == saved["task_id"]]
        assert saved["programs"] == [problem.prompt + text for text in saved["completions"]]
    code, again, _ = run_main(capsys, "eval", "a.jsonl")
    assert code == 0 and again.splitlines()[1:] == out.splitlines()[1:]
    greedy = ["--samples", 1, "--eval-temperature", 0]
    code, out, _ = run_main(capsys, "eval", *greedy, "--out", "b.jsonl", *flags)
    assert code == 0 and "× 1 samples" in out
    code, second, _ = run_main(capsys, "eval", *greedy, "--seed", 5, *flags)
    assert second == out  # the likeliest token needs no dice
    code, out, _ = run_main(capsys, "eval", "a.jsonl", "b.jsonl")
    assert code == 0 and "B - A" in out and "4 problems of both" in out
    Path("bad.jsonl").write_text('{"task_id": "a"}\n')
    for arguments, words in (
        (["nothing"], "there is no evaluation in nothing"),
        (["bad.jsonl"], "there is no evaluation in bad.jsonl"),
        (["a.jsonl", "b.jsonl", "a.jsonl"], "compares two"),
    ):
        code, _, err = run_main(capsys, "eval", *arguments)
        assert code == 2 and words in err
    write_jsonl(Path("other.jsonl"), [row("other", "1")])
    code, _, err = run_main(capsys, "eval", "a.jsonl", "other.jsonl")
    assert code == 2 and "no problem in common" in err


def test_a_curriculum_keeps_problems_by_what_the_base_model_solves(toy, capsys, tmp_path):
    problems = toy_problems("train", ["predicates"])[:40]
    rows = [
        {
            "task_id": problem.task_id,
            "prompt": problem.prompt,
            "entry_point": "f",
            "tests": [{"args": test.args, "expected": test.expected} for test in problem.tests],
        }
        for problem in problems
    ]
    file, held_out = written(tmp_path, *rows), written(tmp_path, rows[0], name="held_out.jsonl")
    settings = SMALL | {"problems": str(file), "held_out": str(held_out), "eval_samples": 8}
    settings |= {"min_pass": 0.1, "max_pass": 0.9}
    whole = train(Config(out=str(tmp_path / "whole"), **settings))
    shares = {
        r["task_id"]: sum(map(all, r["outcomes"])) / 8
        for r in read_jsonl(whole / "evaluations/training_problems.jsonl")
    }
    kept = json.loads((whole / "problems.json").read_text())
    assert set(kept) == {task_id for task_id, share in shares.items() if 0.1 <= share <= 0.9}
    assert 0 < len(kept) < len(shares) == 40
    for file in (whole / "rollouts").iterdir():
        assert {r["task_id"] for r in read_jsonl(file)} <= set(kept)
    # ... and a resumed run keeps the same ones, though its model has moved on
    half = train(Config(out=str(tmp_path / "half"), **settings | {"steps": 1}))
    train(Config(resume=str(half), **settings))
    assert_same_run(whole, half)
    code, _, err = run_main(capsys, "--min-pass", 0.9, "--max-pass", 0.1)
    assert code == 2 and "0 <= min_pass <= max_pass <= 1" in err


def test_broken_problems_are_dropped(toy, capsys, tmp_path):
    rows = [
        {
            "task_id": f"t{i}",
            "prompt": f"def f{i}(xs):\n",
            "entry_point": f"f{i}",
            "tests": [{"args": [[1]], "expected": 1}],
            "solution": "    return xs[0]\n" if i else "    return None\n",
        }
        for i in range(3)
    ]
    file, held_out = written(tmp_path, *rows), written(tmp_path, rows[1], name="held_out.jsonl")
    settings = SMALL | {"problems": str(file), "held_out": str(held_out), "drop_broken": True, "steps": 1}
    folder = train(Config(out=str(tmp_path / "run"), **settings))
    assert json.loads((folder / "problems.json").read_text()) == ["t1", "t2"]
    assert "2 of 3 problems are left" in capsys.readouterr().err
    all_broken = written(tmp_path, rows[0], name="broken.jsonl")
    with pytest.raises(UsageError, match="none of the 1 problems is left"):
        train(Config(out=str(tmp_path / "none"), **settings | {"problems": str(all_broken)}))


def test_prompts_that_are_too_long_are_left_out_with_a_word(toy, capsys, tmp_path):
    rows = [
        {"task_id": f"t{i}", "prompt": "x " * 200 * i + "\n", "tests": [{"stdin": "", "stdout": ""}]} for i in (0, 1)
    ]
    rows[0]["prompt"] = "# go\n"
    code, out, err = run_main(capsys, "eval", "--problems", written(tmp_path, *rows), "--workers", 1, "--samples", 1)
    assert code == 0 and "1 problems × 1 samples" in out
    assert "1 problems, with prompts of over 96 tokens, are left out: t1" in err


def test_mbpp_is_read_by_a_model_as_it_stands(toy, capsys, tmp_path):
    file = written(tmp_path, MBPP)
    code, out, _ = run_main(capsys, "eval", "--problems", file, "--workers", 1, "--max-new-tokens", 4, "--samples", 2)
    assert code == 0 and "1 problems × 2 samples" in out and "pass@2" in out


def test_defaults_follow_the_model(toy, tmp_path):
    assert (Config().lr, Config().max_new_tokens) == (5e-4, 32)
    assert (Config(model="some/model").lr, Config(model="some/model").max_new_tokens) == (1e-6, 512)
    assert Config(model="some/model", lr=3e-5, max_new_tokens=64).lr == 3e-5
    (tmp_path / "config.json").write_text(json.dumps({"model": "toy"}))
    assert is_toy(str(tmp_path)) and Config(model=str(tmp_path)).max_new_tokens == 32
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert not is_toy(str(tmp_path)) and not is_toy("/no/such/folder")
