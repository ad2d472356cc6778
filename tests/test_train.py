"""Training: the update, and what the command line says."""

import json
import math
import re
import sys
from pathlib import Path

import pytest
import torch
from conftest import tiny_model

import minirl
from minirl import (
    Call,
    Config,
    Problem,
    Sandbox,
    Verdict,
    grade,
    load_policy,
    main,
    make_policy,
    micro_batches,
    policy_loss,
    problems_of_step,
    read_jsonl,
    sample,
    sample_step,
    token_logprobs,
    token_weights,
    toy_problems,
    train,
    update,
)

ROOT = Path(minirl.__file__).parent
SMALL = {"problems_per_step": 4, "group_size": 4, "eval_size": 2, "eval_samples": 2, "eval_every": 0, "workers": 1}
SMALL |= {"reward": "pass_rate", "families": ["predicates"]}  # a hasty base model needs a dense signal
FLAGS = [
    word
    for name, value in SMALL.items()
    for word in (f"--{name.replace('_', '-')}", *(value if name == "families" else [value]))
]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as pool:
        yield pool


def rollout_of(policy, seed=0):
    problems = toy_problems("train")[:4]
    return problems, sample(policy, problems, 4, max_new_tokens=12, temperature=0.7, seed=seed)


def gradient_of(policy, rollout, advantages, optimizer=None, reference=None, **settings):
    """The gradient of one update (before clipping), as one vector, and its stats."""
    config = Config(**{"max_new_tokens": 12, "max_grad_norm": 1e9, "lr": 0.0, **settings})
    optimizer = optimizer or torch.optim.SGD(policy.model.parameters(), lr=0.0)
    policy.model.zero_grad()
    stats = update(policy, optimizer, rollout, advantages, config, reference)
    gradients = [p.grad for p in policy.model.parameters() if p.grad is not None]
    return torch.cat([g.flatten() for g in gradients]) if gradients else None, stats


@pytest.fixture
def llama(tokenizer):
    """A policy whose completions have all lengths: one token in nine ends them."""
    policy = make_policy(tiny_model(), tokenizer)
    policy.eos_ids = tuple(range(1, 61))
    return policy


ADVANTAGES_OF_16 = torch.tensor([[1.5, -0.5, -0.5, -0.5], [0.0] * 4, [-1.0, 1.0, 0.0, 0.0], [0.3, 0.3, 0.3, -0.9]])


@pytest.mark.parametrize(
    ("algorithm", "given", "normalisation"),
    [
        ("grpo", "auto", "sequence"),
        ("rloo", "auto", "constant"),
        ("dr_grpo", "auto", "constant"),
        ("reinforce", "auto", "constant"),
        ("grpo", "token", "token"),
    ],
)
def test_the_gradient_is_that_of_the_whole_batch_in_one_go(llama, algorithm, given, normalisation):
    """... whatever the micro-batch, though rows with advantage 0 are not run."""
    _, rollout = rollout_of(llama)
    assert len(set(rollout.completion_mask.sum(-1).flatten().tolist())) > 5
    tensors = [ADVANTAGES_OF_16, *(value for value in vars(rollout).values() if isinstance(value, torch.Tensor))]
    before = [tensor.clone() for tensor in tensors]
    n = 16
    logprobs = token_logprobs(
        llama,
        rollout.prompt_ids.repeat_interleave(4, 0),
        rollout.prompt_mask.repeat_interleave(4, 0),
        rollout.completion_ids.view(n, -1),
        rollout.completion_mask.view(n, -1),
        0.7,
    )
    mask = rollout.completion_mask.view(n, -1)
    weights = token_weights(mask, normalisation, 12)
    loss, *_ = policy_loss(logprobs, logprobs.detach(), ADVANTAGES_OF_16.flatten(), weights)
    loss.backward()
    expected = torch.cat([p.grad.flatten() for p in llama.model.parameters()])
    for tokens, updates in ((1, 1), (100, 2), (10_000, 1)):  # at a rate of 0 a second update has the same gradient
        settings = {"algorithm": algorithm, "normalisation": given, "micro_batch_tokens": tokens}
        settings["updates_per_batch"] = updates
        gradient, stats = gradient_of(llama, rollout, ADVANTAGES_OF_16, **settings)
        assert torch.allclose(gradient, expected, atol=1e-6)
        assert stats["loss"] == pytest.approx(loss.item(), abs=1e-6)
        assert stats["grad_norm"] == pytest.approx(expected.norm().item(), rel=1e-4)
    assert all(map(torch.equal, before, tensors))


def test_what_fills_hidden_places_never_matters_not_even_the_end_token(llama):
    _, rollout = rollout_of(llama)
    expected, _ = gradient_of(llama, rollout, ADVANTAGES_OF_16)
    for pad_id in llama.eos_ids[:2]:
        llama.pad_id = pad_id
        rollout.completion_ids[~rollout.completion_mask] = pad_id
        rollout.prompt_ids[~rollout.prompt_mask] = pad_id
        gradient, _ = gradient_of(llama, rollout, ADVANTAGES_OF_16)
        assert torch.allclose(gradient, expected, atol=1e-7)


def test_a_sample_without_a_token_adds_nothing(llama):
    _, rollout = rollout_of(llama)
    rollout.completion_mask[0, 0] = False
    without = ADVANTAGES_OF_16.clone()
    without[0, 0] = 0.0
    expected, _ = gradient_of(llama, rollout, without)
    for tokens in (1, 10_000):  # alone in its micro-batch, and among others
        gradient, stats = gradient_of(llama, rollout, ADVANTAGES_OF_16, micro_batch_tokens=tokens)
        assert torch.allclose(gradient, expected, atol=1e-7) and math.isfinite(stats["loss"])


def test_the_gradient_does_not_depend_on_the_order_of_rows(policy):
    """... nor on chance: the GPT-2 of this test would drop out a tenth of everything, if it were let."""
    policy.eos_ids = tuple(range(1, 61))
    _, rollout = rollout_of(policy)
    expected, _ = gradient_of(policy, rollout, ADVANTAGES_OF_16)
    order = [2, 0, 3, 1]
    for name in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask"):
        setattr(rollout, name, getattr(rollout, name)[order])
    gradient, _ = gradient_of(policy, rollout, ADVANTAGES_OF_16[order], micro_batch_tokens=100)
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_identical_samples_are_run_once_and_count_as_often_as_they_were_drawn(llama, monkeypatch):
    _, rollout = rollout_of(llama)
    for p, g, same in ((0, 1, 0), (0, 3, 0), (2, 1, 0), (3, 3, 1)):  # the third pair differs in its advantage
        for name in ("completion_ids", "completion_mask", "logprobs"):
            getattr(rollout, name)[p, g] = getattr(rollout, name)[p, same]
    for name in ("completion_ids", "completion_mask", "logprobs"):  # another prompt's
        getattr(rollout, name)[2, 2] = getattr(rollout, name)[1, 0]
    advantages = torch.tensor([[1.5, 1.5, -0.5, 1.5], [0.0] * 4, [-1.0, 1.0, 0.0, 0.0], [0.3, -0.9, 0.3, -0.9]])
    times = minirl.multiplicities(rollout, advantages)
    assert times.tolist() == [[3, 0, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 2, 1, 0]]
    rows = []
    monkeypatch.setattr(minirl, "token_logprobs", lambda *given: rows.append(len(given[3])) or token_logprobs(*given))
    gradient, stats = gradient_of(llama, rollout, advantages)
    assert sum(rows) == 2 + 2 + 3
    monkeypatch.setattr(minirl, "multiplicities", lambda rollout, advantages: torch.ones(4, 4, dtype=torch.long))
    expected, stats_of_all = gradient_of(llama, rollout, advantages)
    assert sum(rows) == 7 + 10 and torch.allclose(gradient, expected, atol=1e-6)
    assert stats == pytest.approx(stats_of_all, abs=1e-6)


def test_micro_batches_hold_every_live_sample_once_and_keep_to_the_budget(llama):
    _, rollout = rollout_of(llama)
    live = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)) < 0.7
    tokens = rollout.prompt_ids.shape[1] + rollout.completion_ids.shape[2]
    for budget in (1, 64, 200, 10_000):
        parts = micro_batches(rollout, live, budget)
        assert torch.cat(parts).tolist() == live.flatten().nonzero().squeeze(-1).tolist()
        assert all(len(rows) * tokens <= budget or len(rows) == 1 for rows in parts)
    assert len(parts) == 1 and not micro_batches(rollout, live & False, 64)


def test_the_gradient_of_the_whole_loss_equals_finite_differences():
    """A model of two tokens: the probability of the second is a sigmoid of one of three weights, by place."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 2, (6, 3), generator=generator)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]] * 2, dtype=torch.bool)
    old = torch.randn(3, generator=generator, dtype=torch.float64)
    for algorithm, normalisation in minirl.NORMALISATION.items():
        rewards = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.5, 0.0]], dtype=torch.float64)
        advantages = minirl.ADVANTAGES[algorithm](rewards).flatten()
        weights = token_weights(mask, normalisation, 3).double()

        def loss_at(theta):
            def logprobs(values, ids=ids):
                return torch.nn.functional.logsigmoid(torch.where(ids == 1, values, -values))

            arguments = (logprobs(theta), logprobs(old).detach(), advantages, weights)  # noqa: B023
            return policy_loss(*arguments, 0.2, logprobs(old - 0.5), kl=0.1)[0]

        theta = (old + torch.tensor([0.1, -0.3, 0.8], dtype=torch.float64)).requires_grad_()
        (gradient,) = torch.autograd.grad(loss_at(theta), theta)
        for i in range(3):
            step = torch.zeros(3, dtype=torch.float64)
            step[i] = 1e-6
            numeric = (loss_at(theta + step) - loss_at(theta - step)) / 2e-6
            assert gradient[i].item() == pytest.approx(numeric.item(), abs=1e-8)


def test_processes_that_share_a_batch_draw_what_one_process_would(llama):
    problems = toy_problems("train")[:6]
    whole = minirl.sample(llama, problems, 4, seed=3)
    for places in ([0, 2, 4], [1, 3, 5]):
        part = minirl.sample(llama, [problems[p] for p in places], 4, seed=3, places=places)
        assert part.completions == [whole.completions[p] for p in places]
    assert len({text for group in whole.completions for text in group}) > 12


def test_every_step_and_seed_draws_anew_and_processes_draw_their_shares(llama, monkeypatch):
    problems = toy_problems("train")[:4]
    settings = [(Config(group_size=4, seed=seed), step) for seed in (0, 1) for step in (1, 2)]
    assert len({str(sample_step(llama, problems, *setting).completions) for setting in settings}) == 4
    whole = sample_step(llama, problems, *settings[0]).completions
    monkeypatch.setattr(minirl, "world_size", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(minirl, "rank", lambda rank=rank: rank)
        assert sample_step(llama, problems, *settings[0]).completions == whole[rank::2]


def test_a_gradient_step_makes_good_samples_likelier(llama):
    _, rollout = rollout_of(llama)
    optimizer = torch.optim.SGD(llama.model.parameters(), lr=0.5)

    def score():
        rows = [rollout.prompt_ids, rollout.prompt_mask]
        rows = [t.repeat_interleave(4, 0) for t in rows]
        rows += [rollout.completion_ids.flatten(0, 1), rollout.completion_mask.flatten(0, 1)]
        with torch.no_grad():
            logprobs = token_logprobs(llama, *rows) * rows[3]
        return (logprobs.sum(-1) * ADVANTAGES_OF_16.flatten()).sum().item()

    before = score()
    gradient_of(llama, rollout, ADVANTAGES_OF_16, optimizer)
    assert score() > before


def test_a_bfloat16_checkpoint_is_trained_in_float32(tokenizer, tmp_path):
    """The first step of AdamW moves a weight by lr; a bfloat16 weight of 0.02 would not feel 1e-6."""
    tiny_model().bfloat16().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy = load_policy(str(tmp_path))
    assert {parameter.dtype for parameter in policy.model.parameters()} == {torch.float32}
    before = torch.cat([p.detach().flatten().clone() for p in policy.model.parameters()])
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-6, weight_decay=0.0)
    gradient, _ = gradient_of(policy, rollout_of(policy)[1], ADVANTAGES_OF_16, optimizer)
    moved = torch.cat([p.detach().flatten() for p in policy.model.parameters()]) - before
    large = gradient.abs() > 1e-5
    assert large.sum() > 1000 and torch.allclose(moved[large], -1e-6 * gradient[large].sign(), rtol=0.1)


def test_a_gradient_that_is_not_finite_changes_no_weight(llama):
    before = [p.clone() for p in llama.model.parameters()]
    sgd = torch.optim.SGD(llama.model.parameters(), lr=0.1)
    _, stats = gradient_of(llama, rollout_of(llama)[1], float("inf") * ADVANTAGES_OF_16.sign(), sgd)
    assert not math.isfinite(stats["grad_norm"]) and all(map(torch.equal, before, llama.model.parameters()))


def test_a_batch_of_dead_groups_changes_no_weight(llama):
    _, rollout = rollout_of(llama)
    optimizer = torch.optim.AdamW(llama.model.parameters(), lr=0.1)
    gradient_of(llama, rollout, ADVANTAGES_OF_16, optimizer)  # Adam now has momentum
    before = [p.clone() for p in llama.model.parameters()]
    _, stats = gradient_of(llama, rollout, torch.zeros(4, 4), optimizer)
    assert all(map(torch.equal, before, llama.model.parameters()))
    assert set(stats.values()) == {0.0}


def test_with_kl_dead_groups_train_towards_the_reference(llama, tokenizer):
    _, rollout = rollout_of(llama)
    same = make_policy(tiny_model(), tokenizer)
    other = make_policy(tiny_model(seed=1), tokenizer)
    gradient, _ = gradient_of(llama, rollout, torch.zeros(4, 4), reference=same, kl=0.1)
    assert gradient.norm() < 1e-6
    gradient, stats = gradient_of(llama, rollout, torch.zeros(4, 4), reference=other, kl=0.1)
    assert gradient.norm() > 1e-6 and stats["loss"] > 0


def test_the_first_ratio_is_exactly_1_and_the_second_is_measured_from_the_same_policy(llama, monkeypatch):
    calls = []

    def spy(logprobs, old, *rest):
        calls.append([tensor.detach().clone() for tensor in (logprobs, old, *rest[:2])])
        return policy_loss(logprobs, old, *rest)

    monkeypatch.setattr(minirl, "policy_loss", spy)
    sgd = torch.optim.SGD(llama.model.parameters(), lr=0.1)
    _, stats = gradient_of(llama, rollout_of(llama)[1], ADVANTAGES_OF_16, sgd, updates_per_batch=2)
    (first, old, _, _), (second, still, advantages, weights) = calls
    assert torch.equal(first, old) and torch.equal(old, still) and not torch.allclose(second, old)
    ratio, good = (second - old).exp(), advantages[:, None] > 0
    cut = weights[(good & (ratio > 1.2)) | (~good & (ratio < 0.8))].sum() / weights.sum()  # of the samples that are run
    assert stats["clip_fraction"] == pytest.approx(cut.item() / 2) and cut > 0  # the mean of both updates


def test_the_first_update_is_on_policy_and_later_ones_are_clipped(llama):
    _, rollout = rollout_of(llama)
    sgd = torch.optim.SGD(llama.model.parameters(), lr=0.1)
    _, once = gradient_of(llama, rollout, ADVANTAGES_OF_16, sgd, updates_per_batch=1)
    assert once["clip_fraction"] == 0
    _, thrice = gradient_of(llama, rollout, ADVANTAGES_OF_16, sgd, updates_per_batch=3)
    assert 0 < thrice["clip_fraction"] < 1
    assert gradient_of(llama, rollout, ADVANTAGES_OF_16, sgd, updates_per_batch=3, clip=1e9)[1]["clip_fraction"] == 0


def test_grade_fills_outcomes_masks_and_verdicts(llama, sandbox):
    problems = [
        Problem("a", "def f(x):\n", [Call((1,), 1), Call((2,), 2)], "f"),
        Problem("b", "def f(x):\n", [Call((1,), 1)], "f"),
    ]
    rollout = sample(llama, problems, 3, max_new_tokens=2)
    rollout.completions = [["    return x", "    return 1", "    retur x"], ["    return 1", "    return 2", ""]]
    outcomes, mask = grade(problems, rollout, sandbox)
    assert outcomes.tolist() == [[[1, 1], [1, 0], [0, 0]], [[1, 0], [0, 0], [0, 0]]]
    assert mask.tolist() == [[[1, 1]] * 3, [[1, 0]] * 3]
    assert rollout.verdicts[0][2] == (Verdict.syntax_error,) * 2 and len(rollout.verdicts[1][0]) == 1


def test_problem_order_covers_every_problem_once_an_epoch():
    problems = list(range(10))
    config = Config(problems_per_step=4, seed=3)
    draws = [p for step in range(1, 6) for p in problems_of_step(problems, config, step)]
    assert sorted(draws[:10]) == sorted(draws[10:]) == problems and draws[:10] != draws[10:]
    assert draws[:4] != problems_of_step(problems, Config(problems_per_step=4, seed=4), 1)


# The command line


def run_main(capsys, *argv):
    code = main([str(argument) for argument in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--reward", "kindness"], "unknown reward 'kindness'; choose from binary, pass_rate"),
        (["--algorithm", "ppo"], "unknown algorithm 'ppo'; choose from grpo, rloo"),
        (["--model", "/no/such/model"], "cannot load the model '/no/such/model'"),
        (["--group-size", "1"], "group_size must be at least 2 for grpo"),
        (["--group-size", "1", "--algorithm", "rloo"], "group_size must be at least 2 for rloo"),
        (
            ["--group-size", "1", "--problems-per-step", "1", "--algorithm", "reinforce"],
            "must be at least 2: reinforce",
        ),
        (["--problems", "none.jsonl"], "cannot read the problem file none.jsonl"),
        (["--lr", "-1"], "lr must be at least 0, got -1.0"),
        (["--lr", "nan"], "lr must be at least 0, got nan"),
        (["--temperature", "0"], "temperature must be above 0"),
        (["--families", "poems"], "unknown toy family 'poems'"),
        (["--levels", "7"], "no toy problem is left"),
        (["--max-new-tokens", "1000"], "at most the model's context of 128 less max_new_tokens, 1000"),
        (["--resume", "nowhere"], "there is no run in nowhere"),
        (["--no-such-flag", "1"], "minirl train does not know --no-such-flag 1"),
        (["--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["dance"], "invalid choice: 'dance'"),
        (["eval", "--problems", "none.jsonl"], "cannot read the problem file"),
        (["inspect", "nowhere"], "there is no run in nowhere"),
        (["plot", "nowhere"], "there is no run"),
        (["plot"], "the following arguments are required: runs"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(toy, capsys, monkeypatch, tmp_path, flags, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_main(capsys, *flags)
    assert code == 2 and words in err and out == ""
    assert err.strip().count("\n") == 0 and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_where_there_is_none_is_a_sentence(toy, capsys):
    code, _, err = run_main(capsys, "--device", "cuda")
    assert code == 2 and "cannot use the device 'cuda' here" in err and "Traceback" not in err


def test_an_existing_run_is_never_overwritten(toy, capsys, tmp_path):
    folder = tmp_path / "run"
    code, out, _ = run_main(capsys, "--steps", 1, "--out", folder, *FLAGS)
    assert code == 0 and "pass@1" in out and "before" in out and str(folder) in out
    assert re.search(r"a step took \d\.\d\d s: sample \d\.\d\d, grade \d\.\d\d, update \d\.\d\d", out)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    code, _, err = run_main(capsys, "--steps", 1, "--out", folder, *FLAGS)
    assert code == 2 and "not empty" in err and "--resume" in err
    for change in (["--model", "/other/model"], ["--lr", "5e-4", "--seed", "9"], ["--reward", "binary"]):
        code, _, err = run_main(capsys, "--resume", folder, "--steps", 2, *change)
        assert code == 2 and f"was made with {change[-2][2:]}" in err, err
    code, _, err = run_main(capsys, "--resume", folder, "--steps", 0)
    assert code == 2 and "has done 1 steps already" in err
    code, _, err = run_main(capsys, "--resume", folder, "--model", "toy", "--steps", 1)  # said, but the same
    assert code == 0
    assert {f: f.read_bytes() for f in before if f.name != "config.json"} == {
        f: data for f, data in before.items() if f.name != "config.json"
    }


def test_a_run_without_out_gets_a_name_of_its_own(toy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folders = [train(Config(steps=1, **SMALL)) for _ in range(2)]
    assert [str(f) for f in folders] == ["runs/toy-grpo-pass_rate-seed0", "runs/toy-grpo-pass_rate-seed0-2"]


def test_a_file_where_the_folder_should_be_is_a_sentence(toy, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run_main(capsys, "--steps", 1, "--out", tmp_path / "file" / "run")
    assert code == 2 and "cannot write " in err


def test_eval_inspect_and_plot(toy, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        train(Config(steps=2, seed=seed, out=f"run{seed}", **SMALL))
    code, out, _ = run_main(capsys, "inspect", "run0", "--step", 1)
    assert code == 0 and re.search(r"\d×  [✓✗]{10}", out) and "pass_rate" in out
    assert out.count("reinforce") == 2 and '"""Return' in out
    code, _, err = run_main(capsys, "inspect", "run0", "--step", 9)
    assert code == 2 and "run0 has no rollouts of step 9; it has 2 steps" in err
    code, _, err = run_main(capsys, "inspect", "run0", "--task-id", "nothing")
    assert code == 2 and "no group of 'nothing'" in err
    code, out, _ = run_main(capsys, "plot", "run0", "run1", "--out", "figure.png")
    assert code == 0 and Path("figure.png").stat().st_size > 10_000
    code, _, err = run_main(capsys, "plot", "run0", "--out", "figure.nonsense")
    assert code == 2 and "cannot write figure.nonsense" in err
    flags = ["eval", "--model", "run0", "--samples", 8, "--out", "samples.jsonl", "--eval-size"]
    code, out, _ = run_main(capsys, *flags, 2)
    assert code == 0 and "pass@8" in out and len(read_jsonl(Path("samples.jsonl"))) == 2
    whole = Path("samples.jsonl").read_text()
    for change in ([], ["--eval-temperature", 0.5]):
        code, _, err = run_main(capsys, *flags, 2 + bool(change), *change)
        assert code == 2 and "samples.jsonl is no evaluation with these settings that could go on" in err
    assert Path("samples.jsonl").read_text() == whole


def test_plot_without_matplotlib_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, _, err = run_main(capsys, "plot", "anything")
    assert code == 2 and "pip install matplotlib" in err


def test_own_problems_and_own_model(toy, capsys, monkeypatch, tmp_path, tokenizer):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"task_id": f"t{i}", "prompt": "def f(xs):\n", "entry_point": "f", "tests": [{"args": [[i]], "expected": [i]}]}
        for i in range(5)
    ]
    Path("p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = tiny_model("gpt2")
    model.save_pretrained("model")
    tokenizer.save_pretrained("model")
    flags = ["--model", "model", "--problems", "p.jsonl", "--steps", 1, "--workers", 1, "--max-new-tokens", 8]
    code, out, err = run_main(capsys, *flags)
    assert code == 0 and "1 problems, 8 samples each" in out, err
    code, out, _ = run_main(capsys, "eval", *flags[:4], *flags[6:])
    assert code == 0 and "5 problems" in out


def test_help_lists_every_setting(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0 and all(f"--{name.replace('_', '-')}" in out for name in Config.__dataclass_fields__)
