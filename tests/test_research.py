"""What a researcher plugs in (rewards, an instruction, on_step, keep_best), and what explains a run."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from conftest import tiny_model
from test_math import outcomes_of
from test_train import FLAGS, SMALL, run_main

import minirl
from minirl import (
    REWARDS,
    Call,
    Config,
    Problem,
    Sandbox,
    UsageError,
    evaluate,
    find_reward,
    grade,
    inspect_group,
    load_policy,
    make_policy,
    outcomes_of_rows,
    pass_rate,
    policy_loss,
    read_jsonl,
    sample,
    toy_problems,
    train,
    verdict_mix,
    write_jsonl,
)


def of_wrong_length(outcomes, mask):
    return outcomes.float().mean(-1)[:, :-1]


def nothing(outcomes, mask):
    return None


def not_a_number(outcomes, mask):
    return torch.full(outcomes.shape[:2], math.nan)


def infinite_without_a_pass(outcomes, mask):
    return 1 / outcomes.any(-1).float()


def failing(outcomes, mask):
    return outcomes.mean(-1)


def of_four_arguments(outcomes, mask, rollout, more):
    return outcomes.float().mean(-1)


def a_list(outcomes, mask):
    return outcomes.float().mean(-1).tolist()


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        (
            of_wrong_length,
            r"must return a tensor of shape \[1, 4\] of finite numbers, not tensor\(.*, of shape \[1, 3\]",
        ),
        (nothing, ".*finite numbers, not None"),
        (a_list, r".*finite numbers, not \[\[[\d., ]+\]\], of shape \[\]"),
        (not_a_number, r".*finite numbers, not tensor\(\[\[nan"),
        (infinite_without_a_pass, r".*finite numbers, not tensor\(\[\[inf, 1., 1., 1."),
        (failing, r"raised RuntimeError\('mean\(\): "),
        (of_four_arguments, "raised TypeError.*more"),
    ],
)
def test_a_reward_that_does_not_work_is_a_sentence_before_anything_is_written(
    toy, monkeypatch, tmp_path, reward, words
):
    monkeypatch.setitem(REWARDS, "mine", reward)
    monkeypatch.setattr(minirl, "evaluate", lambda *_: pytest.fail("it has been evaluated"))
    with pytest.raises(UsageError, match=f"^the reward mine {words}"):
        train(Config(out=str(tmp_path / "run"), steps=1, **SMALL | {"reward": "mine"}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float64, torch.bfloat16])
def test_rewards_of_other_types_become_float32_and_see_clones(monkeypatch, kind):
    def mine(outcomes, mask, power=1):  # what has a default is the function's own
        outcomes |= True
        mask &= False
        return (torch.tensor([[1, 0]]) ** power).to(kind)

    monkeypatch.setitem(REWARDS, "mine", mine)
    outcomes, mask = outcomes_of(["10", "00"])
    rewards = find_reward("mine")(outcomes, mask, "a rollout")
    assert rewards.dtype == torch.float32 and rewards.tolist() == [[1.0, 0.0]]
    assert outcomes.tolist() == [[[True, False], [False, False]]] and mask.all()


def test_who_gets_the_rollout(monkeypatch):
    group, nought = outcomes_of(["10", "00"]), torch.zeros(1, 2)
    for takes, expected in (
        (lambda outcomes, mask, rollout: rollout, True),
        (lambda outcomes, mask, batch: batch, True),
        (lambda outcomes, mask, rollout=nought: rollout, True),
        (lambda outcomes, mask, power=nought: power, False),
        (lambda outcomes, mask, **others: others.get("rollout", nought), False),
        (lambda *both: both[2] if len(both) > 2 else nought, False),
    ):
        monkeypatch.setitem(REWARDS, "mine", takes)
        rewards = find_reward("mine")(*group, torch.ones(1, 2))
        assert rewards.any() == expected


class Callable:
    def __call__(self, outcomes, mask):
        return outcomes.float().mean(-1)


def test_a_run_with_a_reward_whose_source_is_not_known_can_be_resumed(toy, monkeypatch, tmp_path):
    settings = SMALL | {"reward": "mine"}
    monkeypatch.setitem(REWARDS, "mine", Callable())
    folder = train(Config(out=str(tmp_path / "run"), steps=1, **settings))
    monkeypatch.setitem(REWARDS, "mine", Callable())
    train(Config(resume=str(folder), **settings | {"steps": 2}))
    monkeypatch.delitem(REWARDS, "mine")  # as for minirl inspect and minirl plot, in another process
    rows = read_jsonl(folder / "rollouts" / "step_000002.jsonl")
    assert "mine" in inspect_group(rows, 0, ["binary", "mine"])
    assert minirl.main(["inspect", str(folder)]) == 0


def test_a_reward_may_lie_in_a_package(monkeypatch, tmp_path):
    (tmp_path / "pack_of_rewards").mkdir()
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\nclass A:\n    x: int\n\n"
    )
    code += "def mine(outcomes, mask):\n    return outcomes.float().mean(-1)\n"
    (tmp_path / "pack_of_rewards" / "__init__.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert find_reward("pack_of_rewards.mine")(*outcomes_of(["10", "00"])).tolist() == [[0.5, 0.0]]


LENGTHY = """
def brief(outcomes, mask, rollout):
    lengths = rollout.completion_mask.sum(-1)
    is_syntax_error = [[v[0] == "syntax_error" for v in group] for group in rollout.verdicts]
    penalty = 0.5 * torch.tensor(is_syntax_error) + 0.01 * lengths + 0.1 * rollout.cut_off
    has_return = torch.tensor([["return" in text for text in group] for group in rollout.programs])
    assert [len(group) for group in rollout.completions] == [len(group) for group in rollout.details]
    return outcomes.float().mean(-1) + 0.2 * has_return - penalty
"""


def test_a_reward_may_read_the_rollout_and_the_run_keeps_its_source(toy, capsys, tmp_path):
    file, folder = tmp_path / "mine.py", tmp_path / "run"
    file.write_text("import torch\n" + LENGTHY)
    settings = SMALL | {"reward": f"{file}:brief"}
    train(Config(out=str(folder), steps=2, save_every=1, **settings))
    assert (folder / "reward.py").read_text() == file.read_text()
    rows = read_jsonl(folder / "rollouts" / "step_000002.jsonl")
    for row in rows:
        for g, reward in enumerate(row["rewards"]):
            share = sum(row["outcomes"][g]) / len(row["outcomes"][g])
            expected = (
                share + 0.2 * ("return" in row["programs"][g]) - 0.01 * row["tokens"][g] - 0.1 * row["cut_off"][g]
            )
            assert reward == pytest.approx(expected - 0.5 * (row["verdicts"][g][0] == "syntax_error"), abs=1e-5)
    mean = sum(sum(row["rewards"]) for row in rows) / 16
    assert read_jsonl(folder / "metrics.jsonl")[2]["reward"] == pytest.approx(mean)
    assert f"{rows[0]['rewards'][0]:8.2f}" in inspect_group(rows, 0, ["binary", settings["reward"]])
    file.write_text(file.read_text().replace("0.2 *", "0.3 *"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, _, err = run_main(capsys, "--resume", folder, "--steps", 3)
    assert code == 2 and f"has changed; it was {folder / 'reward.py'}: put it back" in err
    assert {path: path.read_bytes() for path in before} == before
    file.write_text(file.read_text().replace("0.3 *", "0.2 *"))
    assert run_main(capsys, "--resume", folder, "--steps", 3)[0] == 0


def test_the_metrics_are_those_of_the_saved_rows(toy, tmp_path):
    seen = []
    config = Config(out=str(tmp_path / "run"), steps=2, warmup_steps=4, kl=0.1, max_new_tokens=21, **SMALL)
    folder = train(config, on_step=seen.append)
    metrics = read_jsonl(folder / "metrics.jsonl")
    assert metrics[1:] == json.loads(json.dumps(seen))
    for row in metrics[1:]:
        rows = read_jsonl(folder / "rollouts" / f"step_{row['step']:06d}.jsonl")
        lengths = [tokens for group in rows for tokens in group["tokens"]]
        cut_off = [cut for group in rows for cut in group["cut_off"]]
        assert row["length"] == pytest.approx(sum(lengths) / 16) and row["longest"] == max(lengths) == 21
        assert row["cut_off"] == sum(cut_off) / 16 and 0 < sum(cut_off) < 16
        assert all(tokens == 21 for tokens, cut in zip(lengths, cut_off, strict=True) if cut)
        assert row["verdicts"] == verdict_mix(rows) and row["lr"] == 5e-4 * row["step"] / 4
        rewards = pass_rate(*outcomes_of_rows(rows))
        assert row["reward_std"] == pytest.approx(rewards.std(-1, correction=0).mean().item())
        for group in rows:
            for verdicts, details in zip(group["verdicts"], group["details"], strict=True):
                assert len(verdicts) == len(details)
                assert all(detail for verdict, detail in zip(verdicts, details, strict=True) if verdict != "passed")
    assert metrics[1]["kl"] == 0 < metrics[2]["kl"] < 1  # on the first step, the policy is the reference


def test_when_most_are_cut_off_the_bar_and_the_report_say_so(toy, capsys, tmp_path):
    code, out, err = run_main(capsys, "--steps", 1, "--out", tmp_path / "run", "--max-new-tokens", 3, *FLAGS)
    assert code == 0 and re.search(r"cut off by --max-new-tokens=(9\d|100)%", err)
    assert "100% of the samples were cut off by the token limit: --max-new-tokens" in out
    code, out, err = run_main(capsys, "--steps", 1, "--out", tmp_path / "long", *FLAGS)
    assert code == 0 and "cut off" not in out + err


def test_a_sample_whose_last_token_is_its_end_is_not_cut_off(tokenizer):
    policy, problems = make_policy(tiny_model(), tokenizer), toy_problems()[:1]
    whole = sample(policy, problems, 1, max_new_tokens=64, temperature=0)
    policy.eos_ids = (int(whole.completion_ids[0, 0, -1]),)  # greedy decoding repeats itself, so it comes at some place
    length = int(sample(policy, problems, 1, max_new_tokens=64, temperature=0).completion_mask.sum())
    for limit, cut_off in ((length - 1, True), (length, False), (length + 1, False)):
        if limit:
            assert sample(policy, problems, 1, max_new_tokens=limit, temperature=0).cut_off.tolist() == [[cut_off]]


def test_an_interrupted_evaluation_goes_on_and_knows_its_settings(toy, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    flags = ["eval", "--workers", 1, "--samples", 2, "--eval-size", 6, "--batch-rows", 4, "--out"]
    assert run_main(capsys, *flags, "whole.jsonl")[0] == 0
    whole = read_jsonl(Path("whole.jsonl"))
    assert len(whole) == 6 and {"torch", "transformers", "minirl", "eval_temperature"} <= whole[0]["settings"].keys()
    parts = []

    def interrupted(policy, problems, *rest):
        parts.append([problem.task_id for problem in problems])
        if len(parts) == 3:
            raise KeyboardInterrupt
        return evaluate(policy, problems, *rest)

    monkeypatch.setattr(minirl, "evaluate", interrupted)
    code, _, err = run_main(capsys, *flags, "part.jsonl")
    assert code == 130 and "--resume" not in err
    assert Path("part.jsonl").read_text() == "".join(json.dumps(row) + "\n" for row in whole[:4])
    with Path("part.jsonl").open("a") as file:  # a kill in the middle of a line
        file.write(json.dumps(whole[4])[:-100])
    code, out, _ = run_main(capsys, *flags, "part.jsonl")
    assert code == 0 and "6 problems" in out and parts[3:] == [[row["task_id"] for row in whole[4:]]]
    assert Path("part.jsonl").read_text() == Path("whole.jsonl").read_text()
    Path("notes.txt").write_text("my notes")
    Path("list.json").write_text("[1,2]")
    Path("folder").mkdir()
    for name in ("notes.txt", "list.json", "folder"):
        code, _, err = run_main(capsys, *flags, name)
        assert code == 2 and f"{name} is no evaluation" in err, err
    assert Path("notes.txt").read_text() == "my notes"
    write_jsonl(Path("few.jsonl"), whole[:2])
    code, _, err = run_main(capsys, *flags, "few.jsonl", "--cpu-seconds", 1)
    assert code == 2 and "no evaluation with these settings" in err
    code, _, err = run_main(capsys, *flags, "part.jsonl", "--eval-size", 7, "--eval-temperature", 0.5)
    assert code == 2 and "no evaluation with these settings that could go on" in err
    assert run_main(capsys, *flags, "cool.jsonl", "--eval-temperature", 0.5)[0] == 0
    assert "measured with different settings: eval_temperature (1.0, 0.5)" in minirl.compare(
        [Path("whole.jsonl"), Path("cool.jsonl")]
    )
    assert "different settings" not in minirl.compare([Path("whole.jsonl"), Path("part.jsonl")])


def test_clip_high_lets_a_ratio_grow_further(toy, monkeypatch, tmp_path):
    old, weights = torch.zeros(1, 2), torch.ones(1, 2)
    logprobs = torch.log(torch.tensor([[1.25, 1.35]])).requires_grad_()

    def gradient(advantage, **clips):
        loss, cut, _ = policy_loss(logprobs, old, torch.tensor([advantage]), weights, 0.2, **clips)
        return torch.autograd.grad(loss, logprobs)[0][0].tolist(), cut.item()

    assert gradient(1.0) == gradient(1.0, clip_high=0.2) == ([0, 0], 2)
    assert gradient(1.0, clip_high=0.28) == ([pytest.approx(-1.25), 0], 1)
    assert gradient(-1.0, clip_high=0.28) == ([pytest.approx(1.25), pytest.approx(1.35)], 0)
    calls = []
    monkeypatch.setattr(minirl, "policy_loss", lambda *given: calls.append(given) or policy_loss(*given))
    train(Config(out=str(tmp_path / "run"), steps=1, clip_high=0.28, **SMALL))
    assert calls and all((clip, high) == (0.2, 0.28) for *_, clip, _, _, high in calls)


def test_the_best_checkpoint_is_kept(toy, monkeypatch, tmp_path):
    values = {0: 0.9, 1: 0.2, 2: 0.5, 3: 0.4, 4: 0.5, 5: 0.6}
    monkeypatch.setattr(minirl.Run, "evaluate", lambda self, step: {"eval/pass@1": values[step]})
    settings = SMALL | {"eval_every": 1, "save_every": 1, "keep_best": True}
    folder = train(Config(out=str(tmp_path / "run"), steps=2, **settings))

    def best_step():
        return torch.load(folder / "checkpoint.best" / "trainer.pt", weights_only=True)["step"]

    assert best_step() == 2
    train(Config(resume=str(folder), **settings | {"steps": 4}))
    assert best_step() == 2  # it is not worse than the base model only that counts
    train(Config(resume=str(folder), **settings | {"steps": 5}))
    assert best_step() == 5 and not (folder / "checkpoint.best.old").exists()
    policy = load_policy(str(folder / "checkpoint.best"))
    assert policy.prompt_style == "verbatim" and sample(policy, toy_problems()[:1], 2).completions
    assert not (
        train(Config(out=str(tmp_path / "b"), steps=1, **SMALL | {"eval_every": 1})) / "checkpoint.best"
    ).exists()


CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
CHAT += "{% if add_generation_prompt %}<assistant>{% endif %}"


def test_an_instruction_of_ones_own_for_chat_models(toy, tmp_path, tokenizer, capsys):
    folder = tmp_path / "model"
    tiny_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with pytest.raises(UsageError, match="an instruction is for chat models; .* is completion"):
        load_policy(str(folder), instruction="Think.")
    (folder / "chat_template.jinja").write_text(CHAT)
    problem = Problem("a", "Add {a} and b.", [Call((1, 2), 3)], "add")
    for instruction, said in (
        ("", "<user>Add {a} and b.\n\nAnswer with the Python function `add` in one ```python block.<assistant>"),
        ("Think about {entry_point}.", "<user>Add {a} and b.\n\nThink about add.<assistant>"),
        ("Task: {prompt} Python only: {x}", "<user>Task: Add {a} and b. Python only: {x}<assistant>"),
    ):
        policy = load_policy(str(folder), instruction=instruction)
        assert policy.tokenizer.decode(policy.prompt_ids(problem)) == said


# Words


def test_what_deserves_a_warning_gets_one_line(toy, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    tests = [{"args": [[1]], "expected": 1}]
    rows = [{"task_id": f"t{i}", "prompt": "def f(xs):\n", "entry_point": "f", "tests": tests} for i in range(3)]
    write_jsonl(Path("p.jsonl"), rows)
    monkeypatch.setattr(minirl.os, "getloadavg", lambda: (100.0, 0.0, 0.0))
    monkeypatch.delenv("OMP_NUM_THREADS")
    flags = ["--problems", "p.jsonl", "--held-out", "p.jsonl", "--steps", 1, "--workers", 1, "--eval-samples", 1]
    code, _, err = run_main(capsys, *flags, "--problems-per-step", 4, "--precision", "bfloat16")
    lines = [line.strip() for line in err.replace("\r", "\n").splitlines() if line.strip().startswith("minirl: ")]
    assert code == 0, err
    for words in ("held_out is the file to train on", "there are 3 problems, so some come twice", "OMP_NUM_THREADS=1"):
        assert sum(words in line for line in lines) == 1, err
    slow = not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert sum("this CPU has no bfloat16" in line for line in lines) == slow
    monkeypatch.setattr(minirl.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    write_jsonl(Path("q.jsonl"), rows[:1])
    code, _, err = run_main(capsys, *flags[:2], "--held-out", "q.jsonl", *flags[4:], "--problems-per-step", 3)
    assert code == 0 and "minirl: " not in err, err


def test_nothing_to_sample_and_other_problems_to_grade_are_sentences(tokenizer):
    policy = make_policy(tiny_model(), tokenizer)
    with pytest.raises(UsageError, match="there is no problem to sample completions for"):
        sample(policy, [], 2)
    problems = toy_problems()[:3]
    rollout = sample(policy, problems, 2, max_new_tokens=2)
    with Sandbox(workers=1) as sandbox, pytest.raises(UsageError, match="a rollout of 3 problems .* graded with 2"):
        grade(problems[:2], rollout, sandbox)


@pytest.mark.parametrize("command", ["plot", "inspect"])
def test_a_folder_without_a_run_is_a_sentence(capsys, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_main(capsys, command, "nowhere")
    assert code == 2 and "there is no run in nowhere" in err and list(tmp_path.iterdir()) == []
