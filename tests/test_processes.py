"""Two processes, started by torchrun, do what one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minirl import Config, UsageError, load_policy, read_jsonl, train

SETTINGS = {"problems_per_step": 5, "group_size": 4, "eval_size": 3, "eval_samples": 4, "eval_every": 0, "workers": 1}
SETTINGS |= {"reward": "pass_rate", "families": ["predicates"], "steps": 2, "micro_batch_tokens": 200}
SETTINGS |= {"kl": 0.1, "updates_per_batch": 2}


@pytest.fixture(scope="module")
def runs(toy, tmp_path_factory):
    """The folder of all runs, what torchrun said, and its exit code."""
    folder, script = tmp_path_factory.mktemp("runs"), Path(__file__).parent / "two_processes.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, folder]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(script.parents[1])}, **pipes)
    train(Config(out=str(folder / "one"), **SETTINGS))
    return folder, process.communicate(timeout=300)[0], process.returncode


@pytest.mark.parametrize("name", ["two", "resumed"])
def test_two_processes_train_as_one(toy, runs, name):
    """The same samples, outcomes and evaluations; the same gradient, so the same weights; in one go and resumed."""
    one, two = runs[0] / "one", runs[0] / name
    for file in (*(one / "rollouts").iterdir(), *(one / "evaluations").iterdir()):
        assert file.read_text() == (two / file.relative_to(one)).read_text()
    for a, b in zip(*(read_jsonl(folder / "metrics.jsonl")[1:] for folder in (one, two)), strict=True):
        for metric in ("reward", "loss", "grad_norm", "clip_fraction", "entropy", "tokens"):
            assert a[metric] == pytest.approx(b[metric], rel=1e-4, abs=1e-6), metric
    expected, got = (load_file(folder / "checkpoint" / "model.safetensors") for folder in (one, two))
    assert expected.keys() == got.keys()
    assert all(torch.allclose(expected[key], got[key], atol=1e-5) for key in expected)
    base = load_policy("toy").model.state_dict()
    assert max((got[key] - base[key]).abs().max().item() for key in got) > 1e-4  # there was something to get wrong


def test_a_process_that_fails_ends_all_with_its_error(runs):
    folder, errors, code = runs
    assert code != 0 and "minirl, process 1: lr must be at least 0, got -1.0" in errors, errors[-5000:]
    assert not (folder / "failing" / "config.json").exists()


def test_processes_sample_different_problems_with_different_seeds(runs):
    groups = read_jsonl(runs[0] / "two" / "rollouts" / "step_000001.jsonl")
    assert len({group["task_id"] for group in groups}) == 5
    assert len({tuple(group["completions"]) for group in groups}) == 5


def test_more_processes_than_problems_is_a_sentence(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="at least the number of processes, 4, got 3"):
        train(Config(problems_per_step=3))
