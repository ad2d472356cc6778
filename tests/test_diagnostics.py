"""Diagnostics of gradients: against single backward passes, the trainer's own gradient, and finite differences."""

import copy
import dataclasses
import math

import diagnostics
import numpy as np
import pytest
import torch
from conftest import tiny_model
from diagnostics import (
    compare_updates,
    cosine,
    enumerate_programs,
    exact_report,
    gradient_of,
    gradient_report,
    grammar_programs,
    group_census,
    group_tensors,
    live_groups,
    log_probability,
    misleading_tests,
    pairs_by_class,
    prefix_values,
    random_share,
    reliability,
    sample_gradients,
    slot_distances,
    spearman,
    spearman_ceiling,
    written_rollout,
)
from test_math import outcomes_of
from test_train import gradient_of as trainers_gradient

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
    trainers, _ = trainers_gradient(llama, rollout, advantages, algorithm=algorithm, max_new_tokens=10)
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
    assert row["advantages"] == advantages.tolist()
    pushes = advantages.abs() * gradients.norm(dim=-1)
    total = advantages @ gradients
    assert row["kept"] == pytest.approx(float(total.norm() / pushes.sum()), rel=1e-5)
    assert row["kept_if_orthogonal"] == pytest.approx(
        math.sqrt(sum(x**2 for x in pushes.tolist())) / float(pushes.sum())
    )
    assert row["from_partial"] == pytest.approx(float(pushes[[1, 3, 4, 5]].sum() / pushes.sum()), rel=1e-5)
    solution = written_rollout(llama, PROBLEM, [PROBLEM.solution])
    direction = sample_gradients(llama, solution, 0, torch.ones(1, 1))[0]
    assert row["cosine_to_solution"] == pytest.approx(torch.cosine_similarity(total, direction, dim=0).item(), abs=1e-5)
    assert row["cosine_to_target"] == row["cosine_to_solution"] and report["cosine_of_targets"] == pytest.approx(
        1, abs=1e-4
    )
    assert report["programs"] == [0, 1, 2, 3, 4, 5], "told apart by their texts"
    assert set(report["rewards"]) == set(REWARDS), "all of them, where none are named"
    dead = gradient_report(llama, PROBLEM, rollout, outcomes & False, mask, config=config, rewards=["binary"])
    assert math.isnan(dead["rewards"]["binary"]["kept"]) and dead["rewards"]["binary"]["gain"] is None
    unsolved = dataclasses.replace(PROBLEM, solution=None)
    report = gradient_report(llama, unsolved, rollout, outcomes, mask, config=config, rewards=["binary"], controls=1)
    row = report["rewards"]["binary"]
    assert row["kept"] > 0 and row["gain"] is None and math.isnan(row["cosine_to_target"]) and row["shuffled"] == []


def test_written_samples_end_with_an_end_token_or_where_they_ended(llama):
    texts = ["    return 0\n", "    return xs\n"]
    rows = [llama.encode(text) for text in texts]
    for lengths, ends in ((None, (1, 1)), ([len(rows[0]), len(rows[1]) + 1], (0, 1))):
        rollout = written_rollout(llama, PROBLEM, texts, lengths)
        for g, (row, end) in enumerate(zip(rows, ends, strict=True)):
            ids = rollout.completion_ids[0, g][rollout.completion_mask[0, g].bool()].tolist()
            assert ids == row + [llama.eos_ids[0]] * end


def test_one_step_towards_the_solution_makes_it_likelier(llama, sandbox):
    """A group that holds the solution and rewards it alone: the update makes the solution likelier."""
    rollout = written_rollout(llama, PROBLEM, [PROBLEM.solution, "    return 0\n", "    return xs\n"])
    outcomes, mask = grade([PROBLEM], rollout, sandbox)
    assert binary(outcomes, mask).tolist() == [[1, 0, 0]]
    config = Config(max_new_tokens=40, lr=1e-3, algorithm="rloo")
    report = gradient_report(llama, PROBLEM, rollout, outcomes, mask, config=config, rewards=["binary"])
    row = report["rewards"]["binary"]
    assert row["gain"] > 0.1 and row["cosine_to_target"] == row["cosine_to_solution"] > 0.1


def test_the_target_is_the_probability_of_all_full_passes_together(toy, sandbox):
    problem, policy = toy_problems("test", ["predicates"])[0], toy.load_policy("toy")
    programs = enumerate_programs(policy, problem, sandbox)
    texts = [programs.rollout.completions[0][i] for i in programs.outcomes.all(-1).nonzero().squeeze(-1)]
    assert problem.solution in texts and len(texts) > 2
    target = written_rollout(policy, problem, texts)
    probability = float(log_probability(policy, target).detach().exp())
    assert probability == pytest.approx(float(programs.probabilities @ programs.outcomes.all(-1).float()), rel=1e-4)
    assert probability > 1e-3, "of a random model it would be 1e-50, and everything near it"
    direction = gradient_of(log_probability(policy, target), policy)
    assert torch.allclose(direction * probability, programs.gradients[0], atol=1e-4 * float(direction.abs().max()))

    rollout = written_rollout(policy, problem, [texts[0], "    return 0\n"])
    outcomes, mask = grade([problem], rollout, sandbox)
    config = Config(max_new_tokens=40, lr=1e-3, algorithm="rloo")
    settings = {"config": config, "rewards": ["binary"], "full_passes": texts}
    report = gradient_report(policy, problem, rollout, outcomes, mask, **settings)
    row, gradients = report["rewards"]["binary"], sample_gradients(policy, rollout, 0, torch.ones(2, 1) / 64)
    solution = sample_gradients(policy, written_rollout(policy, problem, [problem.solution]), 0, torch.ones(1, 1))[0]
    assert row["cosine_to_target"] == pytest.approx(cosine(gradients[0] - gradients[1], direction), abs=1e-5)
    assert row["cosine_to_solution"] == pytest.approx(cosine(gradients[0] - gradients[1], solution), abs=1e-5)
    assert report["cosine_of_targets"] == pytest.approx(cosine(direction, solution), abs=1e-5)


def test_the_controls_are_updates_that_know_nothing(llama, group):
    """Of six samples the third alone writes the solution: its own advantages gain more than any other ones."""
    rollout = written_rollout(llama, PROBLEM, ["    return 0\n", "    return xs\n", PROBLEM.solution, "    pass\n"])
    outcomes = torch.zeros(1, 4, 10, dtype=torch.bool)
    outcomes[0, 2] = True
    config = Config(max_new_tokens=40, lr=1e-3, algorithm="grpo")
    settings = {"config": config, "rewards": ["binary", "pass_rate"], "controls": 12}
    report = gradient_report(llama, PROBLEM, rollout, outcomes, torch.ones_like(outcomes), **settings)
    row = report["rewards"]["binary"]
    assert len(row["shuffled"]) == len(row["random"]) == 12
    assert max(row["shuffled"]) == pytest.approx(row["gain"], abs=1e-4), "a shuffle may leave them as they are"
    assert len({round(x, 3) for x in row["shuffled"]}) == 4, "the high one is at any of four places"
    assert len({round(x, 3) for x in row["random"]}) == 12 and np.mean(row["random"]) < row["gain"] / 2


def test_the_controls_have_the_mean_and_the_length_of_what_they_control():
    advantages = torch.tensor([2.0, -0.5, -0.5, 0.25])
    others = diagnostics._other_advantages(advantages, 20, torch.Generator().manual_seed(0))
    assert all(sorted(x.tolist()) == sorted(advantages.tolist()) for x in others["shuffled"])
    assert len({tuple(x.tolist()) for x in others["shuffled"]}) > 6
    for drawn in others["random"]:
        assert float(drawn.mean()) == pytest.approx(float(advantages.mean()), abs=1e-5)
        assert float(drawn.norm()) == pytest.approx(float(advantages.norm()), rel=1e-5)


def test_pairs_of_different_programs_by_class():
    """Two of no test (one written twice), one partial pass, two full passes, in two dimensions."""
    gradients = torch.tensor([[1.0, 0], [1.0, 0], [3.0, 4.0], [0, 2.0], [-1.0, 0.05]])
    norms = gradients.norm(dim=-1)
    cosines = gradients @ gradients.T / norms / norms[:, None]
    report = {"cosines": cosines.tolist(), "norms": norms.tolist(), "pass_rates": [0, 0, 0.5, 1, 1]}
    report["programs"] = [0, 0, 2, 3, 4]
    found = pairs_by_class(report)
    assert set(found) == {"none-partial", "none-full", "partial-full", "full-full"}, "one program is no pair"
    assert found["none-partial"] == pytest.approx({"pairs": 2, "product": 3, "cosine": 0.6, "below": 0, "above": 1})
    assert found["none-full"]["pairs"] == 4 and found["none-full"]["below"] == 0.5 and found["none-full"]["above"] == 0
    assert found["none-full"]["product"] == pytest.approx(-0.5)
    assert found["partial-full"]["product"] == pytest.approx((8 - 2.8) / 2)
    assert (found["partial-full"]["below"], found["partial-full"]["above"]) == (0.5, 0.5)
    assert found["full-full"]["product"] == pytest.approx(0.1) and found["full-full"]["above"] == 0
    backwards = {name: values[::-1] for name, values in report.items()}
    backwards["cosines"] = [row[::-1] for row in backwards["cosines"]]
    assert pairs_by_class(backwards) == {kind: pytest.approx(cell) for kind, cell in found.items()}, "in any order"
    report["rewards"] = {"mine": {"advantages": [-0.5, -0.5, 0.0, 1.0, 2.0]}}
    pushes = pairs_by_class(report, "mine")
    assert set(pushes) == {"none-full", "full-full"}, "what has no advantage does not push"
    assert pushes["none-full"]["product"] == pytest.approx(-0.5 * 2.0 * -0.5), "a push down along a push up"
    assert pushes["none-full"]["below"] == 0 and pushes["none-full"]["above"] == 0.5
    assert pushes["full-full"]["product"] == pytest.approx(2 * 0.1)


def test_random_directions_are_nearly_orthogonal():
    vectors = torch.randn(400, 300, generator=torch.Generator().manual_seed(0))
    vectors = vectors / vectors.norm(dim=-1, keepdim=True)
    cosines = (vectors @ vectors.T)[torch.triu_indices(400, 400, 1).unbind()]
    assert float((cosines > 0.1).float().mean()) == pytest.approx(random_share(300), rel=0.1)
    assert float((cosines < -0.1).float().mean()) == pytest.approx(random_share(300), rel=0.1)


def test_the_grammar_holds_the_solution_and_every_program_once():
    for name in ("lists", "predicates", "strings"):
        problem = toy_problems("test", [name])[0]
        programs = grammar_programs(problem)
        assert problem.solution in programs and len(set(programs)) == len(programs)


def test_exact_gradients_are_those_of_finite_differences(toy, sandbox):
    """Of the toy's base: the programs of a random model have probabilities such as 1e-50, and any two are "equal"."""
    problem, policy = toy_problems("test", ["predicates"])[0], toy.load_policy("toy")
    policy.model.double()
    programs = enumerate_programs(policy, problem, sandbox)
    full = programs.outcomes.all(-1).double()
    rates = programs.outcomes.double().mean(-1)
    assert programs.probabilities.double() @ full > 1e-3 and programs.outcomes.shape[1] == 10
    parameters = list(policy.model.parameters())
    direction = programs.gradients.sum(0).double()  # of length 1, and along them: slopes far above rounding
    direction = direction / direction.norm()

    def objectives(step):
        start = 0
        for parameter in parameters:
            piece = direction[start : start + parameter.numel()].view_as(parameter)
            parameter.data += step * piece
            start += parameter.numel()
        return enumerate_scores(policy, problem, programs.rollout, full, rates)

    here = objectives(0.0)
    plus = objectives(1e-3)
    minus = objectives(-2e-3)
    for i in range(3):
        slope = (plus[i] - minus[i]) / 2e-3
        assert float(programs.gradients[i].double() @ direction) == pytest.approx(slope, rel=1e-3, abs=0), here


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
        numbers = [cell[name] for name in ("cosine_of_mean", "agreement", "cosine_to_target")]
        assert cell["live"] > 1 / 12 or all(math.isnan(x) for x in numbers)
        assert not abs(cell["cosine_to_target"]) > 1.001
    assert cells[1]["live"] >= cells[0]["live"] and cells[3]["live"] >= cells[2]["live"] > 0
    assert cells[3]["agreement"] > cells[2]["agreement"]  # larger groups agree better


def test_rloo_climbs_the_exact_gradient_in_expectation(toy, sandbox):
    """So the bias of the pass rate is the cosine of the two objectives' exact gradients, and that of binary is 1."""
    settings = {"group_sizes": (8,), "groups": 60, "rewards": ["binary", "pass_rate"], "algorithm": "rloo"}
    report = exact_report(toy.load_policy("toy"), toy_problems("train", ["predicates"])[0], sandbox, **settings)
    assert report["rewards"]["pass_rate"][8]["cosine_of_mean"] == pytest.approx(report["cosine"], abs=0.1)
    assert report["rewards"]["binary"][8]["cosine_of_mean"] == pytest.approx(1.0, abs=0.1)


def test_cosine_of_mean_and_agreement_do_not_depend_on_how_few_updates_there_are():
    """Updates around a mean whose cosine with the target is 0.6: the means of six updates alone would say 0.5."""
    rng = torch.Generator().manual_seed(0)
    target, mean = torch.zeros(400), torch.zeros(400)
    target[0], mean[0], mean[1] = 2.0, 0.6, 0.8
    updates = mean + torch.randn(3000, 400, generator=rng) / 20 * 1.6  # |u|^2 is about 1 + 2.56
    few = [compare_updates(part, target) for part in updates.split(6)]
    found = {name: float(np.mean([cell[name] for cell in few])) for name in few[0]}
    assert found["cosine_of_mean"] == pytest.approx(0.6, abs=0.05)
    assert found["agreement"] == pytest.approx(3.56**-0.5, abs=0.03)
    assert found["cosine_to_target"] == pytest.approx(0.6 * 3.56**-0.5, abs=0.02)
    naive = np.mean([cosine(part.mean(0), target) for part in updates.split(6)])
    assert naive < 0.53  # what the test is for
    assert math.isnan(compare_updates(updates[:1], target)["cosine_of_mean"])


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


def test_ties_bound_the_rank_correlation():
    rng = np.random.default_rng(0)
    a, b = rng.integers(4, size=12), rng.integers(3, size=12)
    ceiling = spearman_ceiling(a, b)
    assert ceiling < 0.999 and spearman_ceiling(a, a) == pytest.approx(1)
    assert all(spearman(rng.permutation(a), b) <= ceiling + 1e-9 for _ in range(2000))
    assert reliability(a / 4, b, np.arange(12))["ceiling"] == pytest.approx(ceiling)


def test_reliability_bins_and_correlates():
    predicted, truth = np.array([0.0, 0.05, 0.5, 1.0] * 10), np.array([0.0, 0.2, 0.5, 1.0] * 10)
    table = reliability(predicted, truth, np.repeat(np.arange(10), 4))
    assert table["bins"] == [(pytest.approx(0.025), pytest.approx(0.1), 20), (0.5, 0.5, 10), (1.0, 1.0, 10)]
    assert table["spearman"] == pytest.approx(1) and table["low"] == pytest.approx(1)
    edges = reliability(np.float32([0.6, 0.7, 0.8, 0.9]), np.arange(4.0), np.arange(4))["bins"]
    assert [round(x, 2) for x, _, _ in edges] == [0.6, 0.7, 0.8, 0.9], "a bin each, in float32 too"
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
