"""Diagnostics of gradients: against single backward passes, the trainer's own gradient, and finite differences."""

import copy
import math

import numpy as np
import pytest
import torch
from conftest import tiny_model
from diagnostics import (
    bias_and_agreement,
    cosine,
    enumerate_programs,
    exact_report,
    gradient_report,
    grammar_programs,
    group_census,
    group_tensors,
    live_groups,
    misleading_tests,
    prefix_values,
    reliability,
    sample_gradients,
    slot_distances,
    spearman,
    written_rollout,
)
from test_math import outcomes_of
from test_train import gradient_of

from minirl import (
    ADVANTAGES,
    NORMALISATION,
    REWARDS,
    Config,
    Sandbox,
    UsageError,
    binary,
    grade,
    make_policy,
    pass_rate,
    sample,
    token_logprobs,
    token_weights,
    toy_completion,
    toy_problems,
)

PROBLEM = toy_problems("test", ["lists"])[0]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as pool:
        yield pool


@pytest.fixture
def llama(tokenizer):
    return make_policy(tiny_model(), tokenizer)


@pytest.fixture
def group(llama, sandbox):
    """Six samples of a problem; outcomes are made up, since a random model passes nothing."""
    rollout = sample(llama, [PROBLEM], 6, max_new_tokens=10, seed=2)
    rollout.completion_ids[0, 3], rollout.completion_mask[0, 3] = (
        rollout.completion_ids[0, 1],
        rollout.completion_mask[0, 1],
    )
    passes = torch.tensor([10, 3, 0, 3, 7, 5])
    outcomes = (torch.arange(10) < passes.unsqueeze(-1)).unsqueeze(0)
    return rollout, outcomes, torch.ones_like(outcomes)


def test_gradients_of_samples_equal_single_backward_passes(llama, group):
    rollout = group[0]
    weights = token_weights(rollout.completion_mask[0], "sequence", 10)
    gradients = sample_gradients(llama, rollout, 0, weights)
    prompt = llama.encode(PROBLEM.prompt)
    for i, mask in enumerate(rollout.completion_mask[0]):
        ids = rollout.completion_ids[0, i][mask]
        text = torch.cat([torch.tensor(prompt), ids])
        distribution = llama.model(text[None]).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        score = distribution.gather(1, ids[:, None]).mean() / 6
        llama.model.zero_grad()
        score.backward()
        slow = torch.cat([parameter.grad.flatten() for parameter in llama.model.parameters()])
        assert torch.allclose(gradients[i], slow, atol=1e-6)


@pytest.mark.parametrize("algorithm", ADVANTAGES)
def test_the_samples_add_up_to_the_trainers_gradient(llama, group, algorithm):
    rollout, outcomes, mask = group
    advantages = ADVANTAGES[algorithm](pass_rate(outcomes, mask))
    trainers, _ = gradient_of(llama, rollout, advantages, algorithm=algorithm, max_new_tokens=10)
    weights = token_weights(rollout.completion_mask[0], NORMALISATION[algorithm], 10)
    summed = advantages[0] @ sample_gradients(llama, rollout, 0, weights)
    assert torch.allclose(-summed, trainers, atol=1e-5 * float(trainers.abs().max()))


def test_a_subset_of_parameters_is_a_part_of_the_gradient(llama, group):
    weights = token_weights(group[0].completion_mask[0], "sequence", 10)
    everything = sample_gradients(llama, group[0], 0, weights)
    part = sample_gradients(llama, group[0], 0, weights, r"layers\.1\.mlp")
    start = 0
    for name, parameter in llama.model.named_parameters():
        if "layers.1.mlp" in name:
            break
        start += parameter.numel()
    assert torch.allclose(part, everything[:, start : start + part.shape[1]]) and part.shape[1] < everything.shape[1]
    with pytest.raises(UsageError, match="no parameter's name matches 'nonsense'"):
        sample_gradients(llama, group[0], 0, weights, "nonsense")


def test_the_report_is_what_its_docstring_says(llama, group):
    rollout, outcomes, mask = group
    config = Config(max_new_tokens=10, lr=1e-3, algorithm="rloo")
    before = copy.deepcopy(llama.model.state_dict())
    report = gradient_report(llama, PROBLEM, rollout, outcomes, mask, config=config)
    assert all(torch.equal(value, before[name]) for name, value in llama.model.state_dict().items())
    gradients = sample_gradients(llama, rollout, 0, token_weights(rollout.completion_mask[0], "constant", 10))
    cosines = torch.tensor(report["cosines"])
    assert torch.allclose(cosines.diagonal(), torch.ones(6), atol=1e-5) and cosines[1, 3] == pytest.approx(1, abs=1e-5)
    assert cosines[0, 4] == pytest.approx(torch.cosine_similarity(gradients[0], gradients[4], dim=0).item(), abs=1e-5)
    assert report["pass_rates"] == pytest.approx([1, 0.3, 0, 0.3, 0.7, 0.5]) and report["has_full_pass"]
    row = report["rewards"]["binary"]
    advantages = ADVANTAGES["rloo"](binary(outcomes, mask))[0]
    pushes = advantages.abs() * gradients.norm(dim=-1)
    total = advantages @ gradients
    assert row["cancellation"] == pytest.approx(float(total.norm() / pushes.sum()), rel=1e-5)
    assert row["orthogonal"] == pytest.approx(math.sqrt(sum(x**2 for x in pushes.tolist())) / float(pushes.sum()))
    assert row["partial"] == pytest.approx(float(pushes[[1, 3, 4, 5]].sum() / pushes.sum()), rel=1e-5)
    assert row["own_alignment"] == pytest.approx(torch.cosine_similarity(total, gradients[0], dim=0).item(), abs=1e-5)
    assert set(report["rewards"]) == set(REWARDS), "all of them, where none are named"
    dead = gradient_report(llama, PROBLEM, rollout, outcomes & False, mask, config=config, rewards=["binary"])
    assert math.isnan(dead["rewards"]["binary"]["cancellation"]) and dead["rewards"]["binary"]["gain"] == 0


def test_one_step_towards_the_solution_makes_it_likelier(llama, sandbox):
    """A group that holds the solution and rewards it alone: the update makes the solution likelier."""
    rollout = written_rollout(llama, PROBLEM, [PROBLEM.solution, "    return 0\n", "    return xs\n"])
    outcomes, mask = grade([PROBLEM], rollout, sandbox)
    assert binary(outcomes, mask).tolist() == [[1, 0, 0]]
    config = Config(max_new_tokens=40, lr=1e-3, algorithm="rloo")
    report = gradient_report(llama, PROBLEM, rollout, outcomes, mask, config=config, rewards=["binary"])
    row = report["rewards"]["binary"]
    assert (
        row["gain"] > 0.1
        and row["alignment"] > 0.1
        and row["own_alignment"] == pytest.approx(row["alignment"], abs=1e-4)
    )


def test_the_grammar_holds_the_solution_and_every_program_once():
    for name in ("lists", "predicates", "strings"):
        problem = toy_problems("test", [name])[0]
        programs = grammar_programs(problem)
        assert problem.solution in programs and len(set(programs)) == len(programs)


def test_exact_gradients_are_those_of_finite_differences(llama, sandbox):
    problem = toy_problems("test", ["strings"])[0]
    llama.model.double()
    programs = enumerate_programs(llama, problem, sandbox)
    full = programs.outcomes.all(-1).double()
    rates = programs.outcomes.double().mean(-1)
    assert full.sum() >= 1 and (programs.outcomes.shape[0], 10) == tuple(programs.outcomes.shape)
    generator = torch.Generator().manual_seed(0)
    parameters = list(llama.model.parameters())
    direction = torch.randn(programs.gradients.shape[1], generator=generator, dtype=torch.double)

    def objectives(step):
        start = 0
        for parameter in parameters:
            piece = direction[start : start + parameter.numel()].view_as(parameter)
            parameter.data += step * piece
            start += parameter.numel()
        return enumerate_scores(llama, problem, programs.rollout, full, rates)

    here = objectives(0.0)
    plus = objectives(1e-5)
    minus = objectives(-2e-5)
    for i in range(3):
        slope = (plus[i] - minus[i]) / 2e-5
        assert float(programs.gradients[i].double() @ direction) == pytest.approx(slope, rel=1e-3), here


@torch.no_grad()
def enumerate_scores(policy, problem, rollout, full, rates):
    scores = token_logprobs(policy, *group_tensors(rollout, 0)).double()
    probabilities = scores.masked_fill(~rollout.completion_mask[0], 0.0).sum(-1).exp()
    return float(probabilities @ full), float(probabilities @ rates), float(probabilities.sum())


def test_the_exact_report_separates_bias_from_variance(toy, sandbox):
    policy = toy.load_policy("toy")
    problem = toy_problems("train", ["predicates"])[0]
    report = exact_report(policy, problem, sandbox, group_sizes=(2, 16), groups=12, rewards=["binary", "pass_rate"])
    assert 0 < report["mass"] <= 1.0001 and report["p_full"] <= report["pass_rate"] <= report["mass"]
    cells = [report["rewards"][name][size] for name in ("binary", "pass_rate") for size in (2, 16)]
    for cell in cells:
        numbers = [cell[name] for name in ("bias", "agreement", "cosine")]
        assert cell["live"] > 1 / 12 or all(math.isnan(x) for x in numbers)
        assert not abs(cell["cosine"]) > 1.001
    assert cells[1]["live"] >= cells[0]["live"] and cells[3]["live"] >= cells[2]["live"] > 0
    assert cells[3]["agreement"] > cells[2]["agreement"]  # larger groups agree better


def test_rloo_climbs_the_exact_gradient_in_expectation(toy, sandbox):
    """So the bias of the pass rate is the cosine of the two objectives' exact gradients, and that of binary is 1."""
    settings = {"group_sizes": (8,), "groups": 60, "rewards": ["binary", "pass_rate"], "algorithm": "rloo"}
    report = exact_report(toy.load_policy("toy"), toy_problems("train", ["predicates"])[0], sandbox, **settings)
    assert report["rewards"]["pass_rate"][8]["bias"] == pytest.approx(report["cosine"], abs=0.1)
    assert report["rewards"]["binary"][8]["bias"] == pytest.approx(1.0, abs=0.1)


def test_bias_and_agreement_do_not_depend_on_how_few_updates_there_are():
    """Updates around a mean whose cosine with the target is 0.6: the means of six updates alone would say 0.5."""
    rng = torch.Generator().manual_seed(0)
    target, mean = torch.zeros(400), torch.zeros(400)
    target[0], mean[0], mean[1] = 2.0, 0.6, 0.8
    updates = mean + torch.randn(3000, 400, generator=rng) / 20 * 1.6  # |u|^2 is about 1 + 2.56
    few = [bias_and_agreement(part, target) for part in updates.split(6)]
    found = {name: float(np.mean([cell[name] for cell in few])) for name in few[0]}
    assert found["bias"] == pytest.approx(0.6, abs=0.05)
    assert found["agreement"] == pytest.approx(3.56**-0.5, abs=0.03)
    assert found["cosine"] == pytest.approx(0.6 * 3.56**-0.5, abs=0.02)
    naive = np.mean([cosine(part.mean(0), target) for part in updates.split(6)])
    assert naive < 0.53  # what the test is for
    assert math.isnan(bias_and_agreement(updates[:1], target)["bias"])


def test_slot_distances_count_slots_to_the_nearest_full_pass(sandbox):
    problem = next(p for p in toy_problems("train", ["strings"], [3]) if " or ['']" in p.solution)
    texts = grammar_programs(problem)
    outcomes = torch.tensor([result.passed for result in sandbox.map([problem.program(text) for text in texts])])
    distances = slot_distances(problem, outcomes)
    distance = dict(zip(texts, distances.tolist(), strict=True))
    assert distance[problem.solution] == 0 and len(distances) == len(texts)
    assert distance[toy_completion(problem.family, [*problem.slots[:2], "{}[-1]"])] == 1  # forgets the empty text
    assert all(distance[f"    return {constant}\n"] == 3 for constant in problem.family.constants)
    full = outcomes.all(-1)
    assert (distances[full] == 0).all() and (distances[~full] > 0).all()


def test_the_value_of_a_prefix_is_how_often_it_is_completed(llama, sandbox, monkeypatch):
    """A policy that always goes on with the solution: from its own first half it succeeds, from other words not."""
    solution = [*llama.encode(PROBLEM.solution), llama.eos_ids[0]]
    completions = [PROBLEM.solution, "    yield 1 if xs else 2 + 3\n"]
    starts = [len(llama.encode(text)) // 2 for text in completions for _ in range(2)]
    steps = iter(range(99))

    def draw(probabilities, uniform):
        step = next(steps)
        tokens = [solution[start + step] for start in starts if start + step < len(solution)]
        assert len(tokens) == len(uniform)
        return torch.tensor(tokens)

    monkeypatch.setattr("minirl.draw", draw)
    values = prefix_values(llama, PROBLEM, completions, sandbox, shares=[0.5], samples=2)
    assert values.tolist() == [[1.0], [0.0]]


def test_spearman_is_the_correlation_of_ranks():
    rng = np.random.default_rng(0)
    a, b = rng.integers(5, size=50), rng.integers(5, size=50)

    def slow_ranks(x):
        return np.array([np.mean([j for j, v in enumerate(sorted(x)) if v == value]) for value in x])

    assert spearman(a, b) == pytest.approx(np.corrcoef(slow_ranks(a), slow_ranks(b))[0, 1])
    assert spearman(a, -a) == pytest.approx(-1) and math.isnan(spearman(a, np.zeros(50)))


def test_reliability_bins_and_correlates():
    predicted, truth = np.array([0.0, 0.05, 0.5, 1.0] * 10), np.array([0.0, 0.2, 0.5, 1.0] * 10)
    table = reliability(predicted, truth, np.repeat(np.arange(10), 4))
    assert table["bins"] == [(pytest.approx(0.025), pytest.approx(0.1), 20), (0.5, 0.5, 10), (1.0, 1.0, 10)]
    assert table["spearman"] == pytest.approx(1) and table["low"] == pytest.approx(1)
    noise = reliability(np.random.default_rng(0).random(400), np.random.default_rng(1).random(400), np.arange(400) // 4)
    assert noise["low"] < 0 < noise["high"]


def test_misleading_tests_are_passed_by_programs_that_are_wrong():
    outcomes = torch.tensor([[[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[1, 1, 0], [1, 1, 0], [1, 1, 0]]]).bool()
    mask = torch.tensor([True, True, True]).expand(2, 3, 3).clone()
    mask[1, :, 2] = False
    shares = misleading_tests(outcomes, mask)
    assert shares[0].tolist() == [1.0, 0.5, 0.0] and shares[1].isnan().all()


def test_the_share_of_live_groups_is_that_of_the_theory():
    generator = torch.Generator().manual_seed(0)
    for p, size in ((0.1, 8), (0.5, 2), (0.9, 4)):
        outcomes = torch.rand(4000, 8, 1, generator=generator) < p
        dead = group_census(outcomes, torch.ones_like(outcomes), size)["dead/binary"]
        assert 1 - dead == pytest.approx(live_groups(p, size), abs=0.03)


def test_a_census_tells_groups_apart_and_who_sees_no_signal():
    outcomes, mask = outcomes_of(["11", "11"], ["11", "10"], ["10", "01"], ["10", "10"], ["00", "00"])
    census = group_census(outcomes, mask)
    kinds = {"all_pass": 0.2, "mixed": 0.2, "partial_only": 0.4, "nothing": 0.2}
    assert {name: census[name] for name in kinds} == pytest.approx(kinds)
    assert census["dead/binary"] == pytest.approx(0.8)  # all but the mixed one
    assert census["dead/pass_rate"] == pytest.approx(0.8)  # 10 and 01 pass as many
    # in smaller groups: the samples one by one have no signal at all
    assert group_census(outcomes, mask, 1)["dead/binary"] == 1
    with pytest.raises(UsageError, match="group_size must be at most 2"):
        group_census(outcomes, mask, 3)
