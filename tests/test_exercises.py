"""tutorials/exercises.py: right answers pass, also rounded; wrong ones do not, and hear why."""

import json

import exercises
import pytest
import torch
from conftest import tiny_model
from diagnostics import written_rollout
from exercises import EXERCISES, check

from minirl import binary, dr_grpo, make_policy, pass_rate, rloo, toy_problems


def said(capsys, *arguments):
    check(*arguments)
    return capsys.readouterr().out.strip()


@pytest.fixture(scope="module")
def samples():
    """Rewards [128] and gradients [128, D] of one problem: one right program, long and short wrong ones."""
    generator = torch.Generator().manual_seed(0)
    rewards = (torch.rand(128, generator=generator) < 0.2).float()
    common = torch.randn(30, generator=generator)
    g = torch.randn(128, 30, generator=generator) * (2 - rewards)[:, None] + rewards[:, None] * common
    return rewards, g, (rewards[:, None] * g).mean(0)


@pytest.fixture(scope="module")
def outcomes():
    generator = torch.Generator().manual_seed(1)
    outcomes = torch.rand(8, 64, 10, generator=generator) < torch.linspace(0.2, 0.97, 10)
    return outcomes, torch.ones_like(outcomes)


@pytest.fixture(scope="module")
def group(tokenizer):
    """A policy, a rollout of one written group, its pass rates, and the problem."""
    policy, problems = make_policy(tiny_model(), tokenizer), toy_problems("train")[:1]
    rollout = written_rollout(
        policy, problems[0], ["    return 1\n", "    return sum(xs)\n", "    return xs\n", "    x\n"]
    )
    return policy, rollout, torch.tensor([[0.1, 0.7, 0.4, 0.0]]), problems


def test_numbers_are_right_to_one_per_cent_and_wrong_ones_are_told_apart(capsys):
    right = {
        "00.1": [[0.667, 0.667, -0.667, -0.667], torch.tensor([2, 2, -2, -2]) / 3],
        "01.1": [0.15, 0.1492],
        "01.2": [[7, 23, 69, 231], torch.tensor([[7.0, 23.0, 69.0, 231.0]])],
        "02.1": [-0.1, 0.4 - 3.5 / 7],
        "03.1": [0.61, [0.6124]],
        "05.1": [24, 24.0],
    }
    wrong = {
        "00.1": [[0.5, 0.5, -0.5, -0.5], [0.0] * 4, [-0.667, -0.667, 0.667, 0.667]],  # Dr. GRPO's; zeros; upside down
        "01.1": [0.16, 0.02, 0.85],
        "01.2": [[7, 23, 69, 230], [0, 0, 0, 0], [6.93, 23.1, 69.3, 231.0]],
        "02.1": [0.1, -0.0875, 0.4],  # among them Dr. GRPO's
        "03.1": [0.5, 0.75, 0.58],
        "05.1": [18, 6, 24e9],
    }
    for name, answers in right.items():
        assert [said(capsys, name, answer) for answer in answers] == ["Right!"] * 2, name
    for name, answers in wrong.items():
        assert all(said(capsys, name, answer).startswith("Not yet: not the right number") for answer in answers), name


def test_what_is_no_answer_gets_a_sentence(capsys):
    assert said(capsys, "00.1", ...) == "No answer yet."
    assert "None" in said(capsys, "00.1", None)
    assert said(capsys, "00.1", "2/3") == "Not yet: numbers are expected, not '2/3'"
    assert (
        said(capsys, "00.1", [2 / 3, -2 / 3])
        == "Not yet: expected is a list of 4 numbers, and this is a list of 2 numbers"
    )
    assert said(capsys, "01.1", [0.1, 0.2]) == "Not yet: expected is one number, and this is a list of 2 numbers"
    assert "numbers are expected" in said(capsys, "01.2", [7, [23], 69, 231])
    assert "numbers are expected" in said(capsys, "01.2", {"a": 7})
    assert "not the right" in said(capsys, "01.1", float("nan"))
    assert said(capsys, "04.2", lambda outcomes, mask: ...) == "No answer yet."
    assert "None" in said(capsys, "04.2", lambda outcomes, mask: None)
    assert "stopped with IndexError: list index" in said(capsys, "04.2", lambda outcomes, mask: [][0])
    assert said(capsys, "04.2", 0.5) == "Not yet: a function is expected, not 0.5"
    assert said(capsys, "01.1", 14.92) == "Not yet: that is per cent. A share goes from 0 to 1."
    assert "a tensor of the shape [1, 4], and this is one number" in said(capsys, "04.2", lambda outcomes, mask: 1.0)


def test_the_best_baseline(samples, capsys):
    rewards, g, _ = samples

    def by_hand(rewards, g):
        sizes = (g * g).sum(1)
        return float(sum(r * s for r, s in zip(rewards, sizes, strict=True)) / sum(sizes))

    for right in (exercises.solutions.best_baseline, by_hand):
        assert said(capsys, "00.2", right, rewards, g) == "Right!"

    def by_length(rewards, g):  # without the square
        return (rewards * g.norm(dim=-1)).sum() / g.norm(dim=-1).sum()

    for wrong in (lambda rewards, g: rewards.mean(), lambda rewards, g: 0.0, by_length):
        assert said(capsys, "00.2", wrong, rewards, g).startswith("Not yet: not the right number")


def test_cosines_of_group_sizes_are_those_of_fair_draws(samples, capsys):
    rewards, g, truth = samples

    def measured(advantage, sizes, seed):
        torch.manual_seed(seed)
        found = []
        for size in sizes:
            draws = [torch.randint(128, (64 // size, size)) for _ in range(400)]
            sums = [advantage(rewards[i]).flatten() @ g[i.flatten()] for i in draws]
            found.append(sum(float(torch.cosine_similarity(x, truth, dim=0)) for x in sums) / len(sums))
        return found

    shorter = exercises.solutions.cosines_of_group_sizes(rewards, g, truth, repeats=400)
    right = [shorter, measured(dr_grpo, (2, 4, 8, 16), 1)]
    one_group = [measured(rloo, (size,), 1)[0] for size in (16, 8, 4, 2)]  # the wrong order
    wrong = [[0.5, 0.6, 0.7, 0.8], one_group, [0.0] * 4]
    given = rewards, g, truth
    assert [said(capsys, "00.3", answer, *given) for answer in right] == ["Right!"] * 2
    for answer in wrong:
        assert said(capsys, "00.3", answer, *given).startswith("Not yet: not the right number"), answer


def test_functions_of_outcomes(outcomes, capsys):
    def loop(reward, outcomes, mask, size):
        alive = total = 0
        for x, m in zip(outcomes, mask, strict=True):
            for start in range(0, len(x) - size + 1, size):
                here = slice(start, start + size)
                alive += len(set(reward(x[None, here], m[None, here])[0].tolist())) > 1
                total += 1
        return alive / total

    def solved(reward, outcomes, mask, size):  # groups with a right sample, also those of right samples alone
        groups = outcomes[:, : outcomes.shape[1] // size * size].unflatten(1, (-1, size))
        return float(groups.all(-1).any(-1).float().mean())

    def mixed(reward, outcomes, mask, size):  # groups of samples of different problems
        x, m = (tensor.transpose(0, 1).flatten(0, 1) for tensor in (outcomes, mask))
        return loop(reward, x[None], m[None], size)

    def too_late(reward, outcomes, mask, size):  # of the rewards of large groups
        rewards = reward(outcomes, mask)[:, : outcomes.shape[1] // size * size].unflatten(1, (-1, size))
        return float((rewards.amax(-1) > rewards.amin(-1)).float().mean())

    solutions = exercises.solutions
    cases = {
        "01.3": (
            [solutions.live_share_of, loop],
            [solved, lambda reward, *_: 1.0, mixed, too_late],
        ),
        "02.3": (
            [solutions.weighted_rate, weighted_by_loops],
            [pass_rate, lambda x, m: torch.zeros(x.shape[:2]), lambda x, m: 1 - weighted_by_loops(x, m)],
        ),
    }
    for name, (right, wrong) in cases.items():
        assert [said(capsys, name, answer, *outcomes) for answer in right] == ["Right!"] * 2, name
        assert all(said(capsys, name, answer, *outcomes).startswith("Not yet") for answer in wrong), name


def weighted_by_loops(outcomes, mask):
    found = []
    for group in outcomes.tolist():
        wrong = [sample for sample in group if not all(sample)]
        weights = [1 - sum(sample[t] for sample in wrong) / len(wrong) for t in range(len(group[0]))]
        found.append([sum(w for w, x in zip(weights, sample, strict=True) if x) / sum(weights) for sample in group])
    return torch.tensor(found)


def test_shares_of_wrong_samples(outcomes, capsys):
    wrong = binary(*outcomes) == 0
    shares = [float(x[w][:, 0].double().mean()) for x, w in zip(outcomes[0], wrong, strict=True)]
    of_all = outcomes[0][..., 0].float().mean(-1).tolist()
    assert said(capsys, "02.2", shares, *outcomes) == said(capsys, "02.2", torch.tensor(shares), *outcomes) == "Right!"
    for answer in ([0.0] * 8, [round(x, 1) for x in shares], [x + 0.05 for x in of_all]):
        assert said(capsys, "02.2", answer, *outcomes).startswith("Not yet"), answer


def test_the_pushes_of_a_group(group, capsys):
    policy, rollout, rates, problems = group
    kept = exercises.solutions.kept_of_group(policy, rollout, rates, 0)
    assert 0 < kept < 1 and said(capsys, "03.2", round(kept, 3), policy, rollout, rates, 0) == "Right!"
    assert said(capsys, "03.2", torch.tensor([kept]), policy, rollout, rates, 0) == "Right!"
    for answer in (0.5 * kept, 1 - kept, 0.0):
        assert said(capsys, "03.2", answer, policy, rollout, rates, 0).startswith("Not yet")
    given = policy, rollout, rates, problems, [0]
    (right,) = exercises.solutions.cosines_of_the_positive(*given)
    assert said(capsys, "03.3", [right], *given) == said(capsys, "03.3", [right * 1.005], *given) == "Right!"
    assert "expected is a list of 1 number," in said(capsys, "03.3", [], *given)
    for answer in (-right, 0.0, right + 0.05):
        assert said(capsys, "03.3", [answer], *given).startswith("Not yet")


def test_studies_and_runs(tmp_path, capsys):
    assert said(capsys, "04.1", 13, 0.036) == said(capsys, "04.1", 13.0, 0.036) == "Right!"
    assert all(said(capsys, "04.1", answer, 0.036).startswith("Not yet") for answer in (12, 12.96, 14, 4))

    def highest(outcomes, mask):
        counts = (outcomes & mask).sum(-1)
        return torch.stack([(group == group.max()).int() for group in counts])

    assert said(capsys, "04.2", exercises.solutions.best_of_group) == said(capsys, "04.2", highest) == "Right!"

    def first(outcomes, mask):  # of equals the first alone
        return torch.nn.functional.one_hot(outcomes.sum(-1).argmax(-1), outcomes.shape[1])

    def blind(outcomes, mask):  # counts tests that do not exist
        return highest(outcomes, torch.ones_like(mask))

    for wrong in (binary, pass_rate, first, blind):
        assert said(capsys, "04.2", wrong).startswith("Not yet")
    pairs = [[0.1, 0.1, 0.1, 0.1, 0.11], [0.3, -0.3, 0.1, -0.1, 0.0], [0.1, 0.1, 0.4]]
    right = [[0.0964, 0.1076], [-0.2776, 0.2776], [-0.2302, 0.6302]]  # t = 2.776, 2.776 and 4.303
    assert said(capsys, "04.3", right, pairs) == said(capsys, "04.3", torch.tensor(right), pairs) == "Right!"
    normal = [[0.1002, 0.1038], [-0.198, 0.198], [0.0038, 0.396]]  # 1.96 standard errors
    for wrong in (normal, [[-0.2776, 0.2776]] * 3, [0.0] * 3, 0, right[:2]):
        assert said(capsys, "04.3", wrong, pairs).startswith("Not yet")
    (tmp_path / "rollouts").mkdir()
    row = {"outcomes": [[1, 1, 0, 0], [1, 1, 1, 0]]}
    (tmp_path / "rollouts" / "step_000001.jsonl").write_text(json.dumps(row) + "\n")
    assert said(capsys, "05.2", 0.625, tmp_path) == said(capsys, "05.2", 0.62, tmp_path) == "Right!"
    assert all(said(capsys, "05.2", answer, tmp_path).startswith("Not yet") for answer in (0.5, 0.0, 0.65))


def test_an_answer_cannot_change_what_is_given(outcomes, capsys):
    kept = [tensor.clone() for tensor in outcomes]

    def zero(reward, outcomes, mask, size):
        outcomes.zero_(), mask.zero_()
        return 0.0

    assert said(capsys, "01.3", zero, *outcomes).startswith("Not yet")
    assert all(map(torch.equal, outcomes, kept))


def test_a_solution_is_printed_on_request(capsys):
    for name in EXERCISES:
        exercises.show(name)
        assert capsys.readouterr().out.startswith("def ")
