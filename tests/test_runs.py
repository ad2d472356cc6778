"""Runs: the run folder, exact resume, and what may happen on the way."""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import in_a_fork
from test_train import FLAGS, SMALL, run_main

import minirl
from minirl import (
    ADVANTAGES,
    Config,
    Sandbox,
    Verdict,
    binary,
    find_checkpoint,
    is_dead,
    load_policy,
    main,
    outcomes_of_rows,
    pass_rate,
    read_jsonl,
    sample,
    toy_problems,
    train,
    update,
)


def test_a_run_folder_holds_everything_and_rewards_can_be_recomputed(toy, tmp_path):
    folder = train(Config(out=str(tmp_path / "run"), steps=3, **SMALL | {"eval_size": 4, "eval_samples": 8}))
    rows = read_jsonl(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    names = "reward reward_std pass_rate full_pass dead_groups verdicts loss grad_norm entropy clip_fraction kl lr "
    names += "tokens length longest cut_off sandbox_errors seconds"
    assert set(names.split()) <= rows[1].keys() and rows[1]["seconds"].keys() == {"sample", "grade", "update"}
    for step in (0, 3):
        assert {"eval/pass@1", "eval/pass@8", "eval/pass_rate"} <= rows[step].keys()
    assert not any(name.startswith("eval/") for name in rows[2])
    for row in rows[1:]:
        groups = read_jsonl(folder / "rollouts" / f"step_{row['step']:06d}.jsonl")
        outcomes, mask = outcomes_of_rows(groups)
        assert outcomes.shape == (4, 4, 10)
        assert binary(outcomes, mask).mean().item() == pytest.approx(row["full_pass"])
        assert is_dead(pass_rate(outcomes, mask)).float().mean().item() == pytest.approx(row["dead_groups"])
        assert [len(group["completions"]) for group in groups] == [4] * 4
    evaluation = read_jsonl(folder / "evaluations" / "step_000003.jsonl")
    assert [row["task_id"] for row in evaluation] == [p.task_id for p in toy_problems("test", ["predicates"])[:4]]
    assert Config(**json.loads((folder / "config.json").read_text())).steps == 3
    trained, base = load_policy(str(folder)), load_policy("toy")
    pairs = zip(trained.model.parameters(), base.model.parameters(), strict=True)
    assert any(not torch.equal(*pair) for pair in pairs)


def weights_and_metrics(folder):
    from safetensors.torch import load_file

    rows = read_jsonl(Path(folder) / "metrics.jsonl")
    for row in rows:
        row.pop("seconds", None)
    training = [{k: v for k, v in row.items() if not k.startswith("eval/")} for row in rows if row["step"]]
    return load_file(Path(folder) / "checkpoint" / "model.safetensors"), training


def assert_same_run(a, b):
    (weights_a, rows_a), (weights_b, rows_b) = weights_and_metrics(a), weights_and_metrics(b)
    assert rows_a == rows_b
    assert all(torch.equal(weights_a[name], weights_b[name]) for name in weights_a)
    for file in sorted((Path(a) / "rollouts").iterdir()):
        assert file.read_text() == (Path(b) / "rollouts" / file.name).read_text()


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": "grpo"},
        {"algorithm": "rloo", "max_new_tokens": 24},
        {"algorithm": "dr_grpo", "kl": 0.1, "updates_per_batch": 2},
        {"algorithm": "reinforce", "temperature": 0.8},
    ],
    ids=ADVANTAGES,
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(toy, tmp_path, settings):
    whole, half = str(tmp_path / "whole"), str(tmp_path / "half")
    settings = {**SMALL, "eval_size": 1, "eval_samples": 1, **settings}
    steps = 4 if settings["algorithm"] == "grpo" else 2
    train(Config(out=whole, steps=steps, **settings))
    train(Config(out=half, steps=steps // 2, **settings))
    assert main(["train", "--resume", half, "--steps", str(steps)]) == 0
    assert_same_run(whole, half)
    moved, unmoved = weights_and_metrics(whole)[0], load_policy("toy").model.state_dict()
    assert any(not torch.equal(moved[name], unmoved[name]) for name in moved)  # there was something to get wrong


def test_no_two_groups_of_a_run_share_their_random_numbers(toy, tmp_path, monkeypatch):
    """... neither of two places, nor of two steps, nor of training and evaluation, which is always at temperature 1."""
    drawn = []

    def spy(policy, problems, group_size, *, seed, places=None, temperature=1.0, **rest):
        if places is not None:  # it is not the trial of the reward
            drawn.extend((temperature, seed, place) for place in places)
        return sample(policy, problems, group_size, seed=seed, places=places, temperature=temperature, **rest)

    monkeypatch.setattr(minirl, "sample", spy)
    settings = {
        **SMALL,
        "eval_every": 1,
        "eval_size": 4,
        "eval_samples": 8,
        "batch_rows": 16,
    }  # an evaluation in two parts
    train(Config(out=str(tmp_path / "run"), steps=2, temperature=0.9, **settings))
    assert len({(seed, place) for _, seed, place in drawn}) == len(drawn) == (3 + 2) * 4
    assert [temperature for temperature, *_ in drawn] == [1.0] * 4 + ([0.9] * 4 + [1.0] * 4) * 2


def test_the_reference_of_the_kl_penalty_stays_the_base_model(toy, tmp_path, monkeypatch):
    pairs, out = [], str(tmp_path / "run")
    monkeypatch.setattr(minirl, "update", lambda *inputs: pairs.append((inputs[0], inputs[-1])) or update(*inputs))
    train(Config(out=out, steps=1, kl=0.1, **SMALL))
    assert main(["train", "--resume", out, "--steps", "2"]) == 0
    base = list(load_policy("toy").model.parameters())
    for policy, reference in pairs:
        assert all(map(torch.equal, reference.model.parameters(), base))
        assert not all(map(torch.equal, policy.model.parameters(), base))


def test_the_same_seed_gives_the_same_run_and_another_does_not(toy, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(Config(out=str(tmp_path / name), steps=2, seed=seed, **SMALL))
    assert_same_run(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "a", tmp_path / "c")


def test_a_run_killed_while_it_writes_a_checkpoint_can_be_resumed(toy, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(Config(out=str(whole), steps=6, save_every=1, **SMALL))
    pid = in_a_fork(tmp_path / "errors", "train", "--steps=6", "--save-every=1", f"--out={killed}", *FLAGS)
    while not (killed / "rollouts" / "step_000003.jsonl").exists() and not os.waitpid(pid, os.WNOHANG)[0]:
        time.sleep(0.001)
    while not (killed / "checkpoint.new").exists():  # into the middle of one
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert find_checkpoint(killed) and len(read_jsonl(killed / "metrics.jsonl")) < 7, "it was not done"
    assert main(["train", "--resume", str(killed)]) == 0
    assert_same_run(whole, killed)


def test_a_checkpoint_write_that_was_cut_off_loses_nothing(toy, tmp_path):
    folder = tmp_path / "run"
    train(Config(out=str(folder), steps=2, **SMALL))
    (folder / "checkpoint").rename(folder / "checkpoint.old")  # killed between the two renames
    (folder / "checkpoint.new").mkdir()
    (folder / "checkpoint.new" / "model.safetensors").write_bytes(b"half")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "rew')  # killed while appending
    assert main(["train", "--resume", str(folder), "--steps", "3"]) == 0
    train(Config(out=str(tmp_path / "whole"), steps=3, **SMALL))
    assert_same_run(folder, tmp_path / "whole")


def test_a_full_disk_is_a_sentence_and_loses_nothing(toy, capsys, tmp_path):
    """A limit on the size of files stands in for the disk: the same failing writes."""
    folder = tmp_path / "run"
    train(Config(out=str(folder), steps=1, **SMALL))
    before = {file: file.read_bytes() for file in (folder / "checkpoint").iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (1_000_000, 2_500_000):  # less than the weights; less than the optimizer
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            code, _, err = run_main(capsys, "--resume", folder, "--steps", 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert code == 2 and f"cannot write {folder}/checkpoint: " in err and "Traceback" not in err
        assert {file: file.read_bytes() for file in (folder / "checkpoint").iterdir()} == before
        assert not (folder / "checkpoint.new").exists()
    assert run_main(capsys, "--resume", folder, "--steps", 2)[0] == 0
    train(Config(out=str(tmp_path / "whole"), steps=2, **SMALL))
    assert_same_run(folder, tmp_path / "whole")


def test_a_folder_that_cannot_be_written_is_a_sentence(toy, capsys, tmp_path):
    folder = tmp_path / "run"
    train(Config(out=str(folder), steps=1, **SMALL))
    (folder / "config.json.new").mkdir()  # stands in for missing rights, which root does not know
    code, _, err = run_main(capsys, "--resume", folder, "--steps", 2)
    assert code == 2 and f"cannot write {folder / 'config.json'}: " in err and "Traceback" not in err


def test_a_damaged_checkpoint_is_a_sentence_and_nothing_is_touched(toy, capsys, tmp_path):
    folder = tmp_path / "run"
    train(Config(out=str(folder), steps=1, **SMALL))
    whole = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for name, words in (
        ("trainer.pt", "cannot read {}/trainer.pt"),
        ("model.safetensors", "cannot load the model '{}'"),
        ("config.json", "cannot load the model '{}'"),
        ("tokenizer.json", "cannot load the model '{}'"),
    ):
        file = folder / "checkpoint" / name
        for data in (whole[file][: len(whole[file]) // 2], b"", None):
            file.unlink() if data is None else file.write_bytes(data)
            code, _, err = run_main(capsys, "--resume", folder, "--steps", 2)
            assert code == 2 and (words.format(file.parent) in err or "is damaged: its trainer.pt is missing" in err), (
                err
            )
            assert "Traceback" not in err
            assert all(f.read_bytes() == content for f, content in whole.items() if f != file)
        file.write_bytes(whole[file])
    assert run_main(capsys, "--resume", folder, "--steps", 2)[0] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_a_run_with_one_line_and_no_process(toy, tmp_path):
    pid = in_a_fork(tmp_path / "errors", "--steps=100", "--eval-size=4", f"--out={tmp_path / 'run'}")
    while not (tmp_path / "run" / "rollouts").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    zygotes = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert zygotes
    os.kill(pid, signal.SIGINT)
    errors = (tmp_path / "errors").read_text
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130, errors()
    assert "Traceback" not in errors() and "interrupted" in errors()
    assert not any(Path(f"/proc/{zygote}").exists() for zygote in zygotes)


def test_a_sandbox_error_is_counted_shown_and_scored_as_failure(toy, tmp_path, monkeypatch, capsys):
    class Broken(Sandbox):
        def submit(self, program):
            future = super().submit(program)
            result = future.result()
            errors = [Verdict.sandbox_error] * 2 + [Verdict.passed] * 8
            future.result = lambda: type(result)(tuple(errors), result.details, result.seconds)
            return future

    monkeypatch.setattr(minirl, "Sandbox", Broken)
    folder = train(Config(out=str(tmp_path / "run"), steps=1, **SMALL))
    row = read_jsonl(folder / "metrics.jsonl")[1]
    assert row["sandbox_errors"] == 32 and row["full_pass"] == 0 and row["pass_rate"] == pytest.approx(0.8)
    assert read_jsonl(folder / "rollouts" / "step_000001.jsonl")[0]["verdicts"][0][0] == "sandbox_error"
    assert "SANDBOX_ERRORS" in capsys.readouterr().err


def test_training_learns_something(toy, tmp_path):
    """A hasty base model practises two problems, and passes more of their tests."""
    problems = toy_problems("train", ["predicates"])[:2]
    lines = [
        {"task_id": p.task_id, "prompt": p.prompt, "entry_point": "f"}
        | {"tests": [{"args": list(test.args), "expected": test.expected} for test in p.tests]}
        for p in problems
    ]
    file = tmp_path / "two.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"problems": str(file), "held_out": str(file), "problems_per_step": 2, "group_size": 16, "steps": 16}
    rows = read_jsonl(
        train(Config(out=str(tmp_path / "run"), **{**SMALL, **settings, "eval_samples": 32})) / "metrics.jsonl"
    )
    assert rows[-1]["eval/pass_rate"] > rows[0]["eval/pass_rate"] + 0.05  # mostly by constants: this is pass_rate
