"""Research about training, by minirl's public names alone: what the samples of a group say together. The gradient of
each sample, and how the pushes of a group add up (sample_gradients, gradient_report: notebook 03). The exact gradient
of a toy problem whose programs can all be listed, and what groups make of it (enumerate_programs, exact_report:
notebooks 00 and 03). How near a wrong program is to a right one, and whether its pass rate tells (slot_distances,
prefix_values, reliability, misleading_tests: notebook 02). Which groups have a signal, counted and in theory
(group_census, live_groups: notebook 01). study.py and claims.py measure with them. And how figures look (STYLE).
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minirl import (
    ADVANTAGES,
    FORGETFUL,
    NORMALISATION,
    REWARDS,
    Config,
    Family,
    Policy,
    Problem,
    Rollout,
    Sandbox,
    ToyProblem,
    UsageError,
    binary,
    find_reward,
    is_dead,
    pass_rate,
    sample,
    token_logprobs,
    token_weights,
    toy_completion,
    writing,
)

# The look of every figure, in the notebooks too: plt.rcParams.update(STYLE).
LINES = {"grpo": "-", "rloo": "--", "dr_grpo": "-.", "reinforce": ":"}
STYLE = {"figure.figsize": (8, 3.2), "figure.constrained_layout.use": True, "savefig.dpi": 150, "font.size": 10}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
STYLE |= {"legend.frameon": False, "lines.linewidth": 1.8, "image.cmap": "RdBu"}


def pyplot() -> Any:
    """matplotlib's pyplot in this style, drawing to files."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise UsageError("a figure needs matplotlib: pip install matplotlib") from None
    plt.switch_backend("Agg")
    plt.rcParams.update(STYLE)
    return plt


def save_figure(figure: Any, file: Path) -> None:
    with writing(file):
        figure.savefig(file, dpi=150)
    pyplot().close(figure)


# ----------------------------------------------------------------------------------------------------------------------
# The gradients of a group's samples, and what is left of them in the sum


def sample_gradients(policy: Policy, rollout: Rollout, p: int, weights: torch.Tensor, only: str = "") -> torch.Tensor:
    """The gradient of every sample of group p on its own: g_i = grad sum_t w_it log pi(o_it). [G, L] -> [G, D].

    With the trainer's weights (token_weights), sum_i A_i g_i is the on-policy gradient that it climbs. D is the number
    of parameters, or of those whose names match the regular expression `only`: a large model has too many for G copies.
    """
    ids, mask = rollout.completion_ids[p], rollout.completion_mask[p]
    prompt = rollout.prompt_ids[p : p + 1], rollout.prompt_mask[p : p + 1]
    rows: dict[tuple[int, ...], torch.Tensor] = {}  # the same completion twice has the same gradient
    for i in range(len(ids)):
        key = tuple(ids[i][mask[i]].tolist())
        if key not in rows:
            logprobs = token_logprobs(policy, *prompt, ids[i : i + 1], mask[i : i + 1], rollout.temperature)
            rows[key] = gradient_of((logprobs * weights[i]).masked_fill(~mask[i], 0.0).sum(), policy, only)
    return torch.stack([rows[tuple(row[m].tolist())] for row, m in zip(ids, mask, strict=True)])


def gradient_of(objective: torch.Tensor, policy: Policy, only: str = "") -> torch.Tensor:
    """The gradient of a number by the parameters whose names match the regular expression `only`. [] -> [D]."""
    parameters = [x for name, x in policy.model.named_parameters() if x.requires_grad and re.search(only, name)]
    if not parameters:
        raise UsageError(f"no parameter's name matches {only!r}")
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(objective, parameters)])


def written_rollout(
    policy: Policy, problem: Problem, texts: Sequence[str], lengths: Sequence[int] | None = None
) -> Rollout:
    """A rollout of one group with these completions, as if the policy had written them and an end token after each. Or,
    of samples whose numbers of tokens are known, no more than these: one that ended with its answer, or at the limit,
    has no end token, and with one all of them would have a part of their gradients in common."""
    prompt = policy.pad([policy.prompt_ids(problem)], side="left")
    rows = [[*policy.encode(text), policy.eos_ids[0]] for text in texts]
    rows = [row[:length] for row, length in zip(rows, lengths or map(len, rows), strict=True)]
    ids, mask = policy.pad(rows, side="right")
    zeros = torch.zeros(1, *ids.shape, device=ids.device)
    return Rollout(*prompt, ids[None], mask[None], zeros, zeros, [list(texts)], 1.0)


def group_tensors(rollout: Rollout, p: int) -> tuple[torch.Tensor, ...]:
    """The prompt, once a sample, and the completions of group p, as token_logprobs takes them."""
    size = rollout.completion_ids.shape[1]
    prompt = (tensor[p : p + 1].expand(size, -1) for tensor in (rollout.prompt_ids, rollout.prompt_mask))
    return *prompt, rollout.completion_ids[p], rollout.completion_mask[p]


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """The cosine of two vectors; nan if one of them is 0."""
    size = a.norm() * b.norm()
    return float(a @ b / size) if size > 0 else math.nan


def log_probability(policy: Policy, rollout: Rollout) -> torch.Tensor:
    """log of the probability that the policy writes one of the programs of a written rollout: log sum_y pi(y)."""
    scores = token_logprobs(policy, *group_tensors(rollout, 0))
    return scores.masked_fill(~rollout.completion_mask[0], 0.0).sum(-1).logsumexp(0)


def gradient_report(
    policy: Policy,
    problem: Problem,
    rollout: Rollout,
    outcomes: torch.Tensor,
    mask: torch.Tensor,
    p: int = 0,
    *,
    config: Config | None = None,
    rewards: Sequence[str] | None = None,
    only: str = "",
    full_passes: Sequence[str] | None = None,
    controls: int = 0,
) -> dict[str, Any]:
    """How the samples of group p of a graded rollout push the policy, together and against each other.

    The target is log P(full pass), the probability of all `full_passes` together, where they can be listed (those of
    grammar_programs that pass), else that of problem.solution alone. Without either, there are no cosines with it and
    no gains.

    cosines      [G, G]  of the samples' gradients (sample_gradients); norms [G]; pass_rates [G]; programs [G], a number
                 for each different one
    cosine_of_targets   of the target's gradient with that of log pi(problem.solution)
    rewards      for each reward (default: all of minirl.REWARDS), under config's algorithm:
      advantages       [G]; the push of a sample is A_i g_i
      kept             |sum A_i g_i| / sum |A_i| |g_i|: the share of all pushes that is left in their sum. 1 if they go
                       one way, near 0 if they cancel; nan in a dead group
      kept_if_orthogonal  the same if all g_i were orthogonal, sqrt(sum A_i^2 |g_i|^2) / sum |A_i| |g_i|
      from_partial     the share of sum |A_i| |g_i| that partial passes contribute
      cosine_to_target, cosine_to_solution   of sum A_i g_i with the gradients of the target and of the solution
      gain             change of the target by one step of AdamW in that direction, in nats (all parameters, whatever
                       `only` says); None in a dead group, and with a learning rate of 0
      shuffled, random   the same of `controls` other updates: these advantages, shuffled in the group; and advantages
                       drawn from a normal distribution, with their mean and length
    """
    config = config or Config()
    normalisation = NORMALISATION[config.algorithm] if config.normalisation == "auto" else config.normalisation
    weights = token_weights(rollout.completion_mask[p], normalisation, config.max_new_tokens)
    gradients = sample_gradients(policy, rollout, p, weights, only)  # [G, D]
    norms = gradients.norm(dim=-1)
    rates, full = pass_rate(outcomes, mask)[p], binary(outcomes, mask)[p] > 0
    partial = ((rates > 0) & ~full).to(norms.device)
    solutions = [] if problem.solution is None else [problem.solution]
    targets = [written_rollout(policy, problem, texts) for texts in (full_passes or solutions, solutions) if texts]
    # of the target and of the solution [D]; 0 where there are none, which has no cosine
    directions = [gradient_of(log_probability(policy, target), policy, only) for target in targets]
    to_target, to_solution = (directions + [torch.zeros_like(gradients[0])] * 2)[:2]
    report: dict[str, Any] = {
        "cosines": (gradients @ gradients.T / (norms[:, None] * norms).clamp(min=1e-30)).tolist(),
        "norms": norms.tolist(),
        "pass_rates": rates.tolist(),
        "programs": [rollout.completions[p].index(text) for text in rollout.completions[p]],
        "has_full_pass": bool(full.any()),
        "cosine_of_targets": cosine(to_target, to_solution),
        "rewards": {},
    }

    def gain(advantages: torch.Tensor) -> float:
        return _gain(policy, rollout, p, advantages, weights, targets[0], config.lr)

    generator = torch.Generator().manual_seed(config.seed)
    for name in REWARDS if rewards is None else rewards:
        advantages = ADVANTAGES[config.algorithm](find_reward(name)(outcomes, mask))[p].to(norms.device)
        total, pushes = advantages @ gradients, advantages.abs() * norms
        row: dict[str, Any] = {"advantages": advantages.tolist()} | _shares_of_pushes(total, pushes, partial)
        row |= {"cosine_to_target": cosine(total, to_target), "cosine_to_solution": cosine(total, to_solution)}
        row |= {"gain": None, "shuffled": [], "random": []}
        if pushes.sum() > 0 and targets and config.lr != 0:
            others = _other_advantages(advantages, controls, generator)
            row |= {"gain": gain(advantages)} | {kind: [gain(x) for x in draws] for kind, draws in others.items()}
        report["rewards"][name] = row
    return report


def _other_advantages(
    advantages: torch.Tensor, draws: int, generator: torch.Generator
) -> dict[str, list[torch.Tensor]]:
    """Advantages [G] that know nothing of the samples: the same ones shuffled; random ones of that mean and length."""
    shuffled = [advantages[torch.randperm(len(advantages), generator=generator)] for _ in range(draws)]
    spread = (advantages - advantages.mean()).norm()
    noise = [torch.randn(len(advantages), generator=generator).to(advantages.device) for _ in range(draws)]
    noise = [x - x.mean() for x in noise]
    return {"shuffled": shuffled, "random": [advantages.mean() + x / x.norm() * spread for x in noise]}


def _shares_of_pushes(total: torch.Tensor, pushes: torch.Tensor, partial: torch.Tensor) -> dict[str, float]:
    """See gradient_report. The sum of all pushes [D], the length of each [G], and which are of partial passes [G]."""
    if not pushes.sum() > 0:  # a dead group
        return dict.fromkeys(("kept", "kept_if_orthogonal", "from_partial"), math.nan)
    return {
        "kept": float(total.norm() / pushes.sum()),
        "kept_if_orthogonal": float(pushes.norm() / pushes.sum()),
        "from_partial": float(pushes[partial].sum() / pushes.sum()),
    }


def _gain(
    policy: Policy,
    rollout: Rollout,
    p: int,
    advantages: torch.Tensor,
    weights: torch.Tensor,
    target: Rollout,
    lr: float,
) -> float:
    """How much likelier, in nats, one AdamW step on one group makes the programs of the target together."""
    copied = replace(policy, model=copy.deepcopy(policy.model))
    optimizer = torch.optim.AdamW(copied.model.parameters(), lr=lr, weight_decay=0.0)
    with torch.no_grad():
        before = log_probability(copied, target)
    logprobs = token_logprobs(copied, *group_tensors(rollout, p), rollout.temperature)
    objective = advantages.unsqueeze(-1) * weights * logprobs
    (-objective.masked_fill(~rollout.completion_mask[p], 0.0).sum()).backward()
    optimizer.step()
    with torch.no_grad():
        return float(log_probability(copied, target) - before)


CLASSES = ("none", "partial", "full")  # of samples: no test passed, some, all


def pairs_by_class(report: dict[str, Any], reward: str = "", large: float = 0.1) -> dict[str, dict[str, float]]:
    """Are the gradients of samples of one class like those of another one? Or, under a reward, their pushes A_i g_i,
    which go apart where the gradients are alike and the advantages have different signs; those of A_i = 0 are left out.
    Of a gradient_report, for each two classes that it has:

    pairs          how many pairs of different programs there are
    product, cosine   means of their inner products and cosines
    below, above   the shares of these pairs with a cosine below -large and above +large

    Random directions would give random_share. But the gradients of one model on one prompt have few directions, so
    most pairs of any classes are far from 0: compare the classes with each other. E[g_i] = 0 makes the mean over all
    pairs of independent samples vanish; without copies of one program it is below 0.
    """
    rates, cosines, norms = (np.array(report[name]) for name in ("pass_rates", "cosines", "norms"))
    advantages = np.array(report["rewards"][reward]["advantages"]) if reward else np.ones(len(rates))
    cosines, norms = cosines * np.sign(np.outer(advantages, advantages)), norms * np.abs(advantages)
    classes = (rates > 0).astype(int) + (rates == 1)
    i, j = np.triu_indices(len(rates), 1)
    chosen = (np.array(report["programs"])[i] != np.array(report["programs"])[j]) & (advantages[i] * advantages[j] != 0)
    i, j = i[chosen], j[chosen]
    low, high = np.minimum(classes[i], classes[j]), np.maximum(classes[i], classes[j])
    found = {}
    for a, b in itertools.combinations_with_replacement(range(3), 2):
        here = (low == a) & (high == b)
        if here.any():
            these = cosines[i, j][here]
            products = these * norms[i][here] * norms[j][here]
            found[f"{CLASSES[a]}-{CLASSES[b]}"] = {
                "pairs": int(here.sum()),
                "product": float(products.mean()),
                "cosine": float(these.mean()),
                "below": float((these < -large).mean()),
                "above": float((these > large).mean()),
            }
    return found


def random_share(dimensions: int, large: float = 0.1) -> float:
    """How often two random directions have a cosine above `large`; as often it is below -large.

    >>> round(random_share(1000), 5)
    0.00078
    """
    return math.erfc(large * math.sqrt(dimensions / 2)) / 2


# ----------------------------------------------------------------------------------------------------------------------
# The exact gradient, on a toy problem: all programs of its grammar are listed, graded and scored


def grammar_programs(problem: ToyProblem) -> list[str]:
    """All completions that the toy's grammar can make for a problem: all_slots, and the constants."""
    family = problem.family
    return [toy_completion(family, slots) for slots in all_slots(family)] + [
        f"    return {constant}\n" for constant in family.constants
    ]


def all_slots(family: Family) -> list[tuple[str, str, str]]:
    """Every choice of the three slots, with the care for an empty list and without it."""
    reducers = [*family.reducers.values()]
    reducers += [FORGETFUL[reducer] for reducer in reducers if reducer in FORGETFUL]
    return list(itertools.product(family.filters.values(), family.maps.values(), reducers))


@dataclass
class Enumeration:
    """Every program of the toy's grammar on one problem: M programs, T tests, D parameters.

    rollout        one group of M samples          outcomes  [M, T]
    probabilities  [M], of the policy              gradients [3, D], exactly: of P(full pass), of E[pass rate], and of
                                                   the probability of all these programs together
    """

    rollout: Rollout
    outcomes: torch.Tensor
    probabilities: torch.Tensor
    gradients: torch.Tensor


def enumerate_programs(policy: Policy, problem: ToyProblem, sandbox: Sandbox) -> Enumeration:
    """Grade and score all programs of the grammar: grad sum_y pi(y) R(y) = sum_y pi(y) R(y) grad log pi(y)."""
    texts = grammar_programs(problem)
    rollout = written_rollout(policy, problem, texts)
    outcomes = torch.tensor([result.passed for result in sandbox.map([problem.program(text) for text in texts])])
    rates = outcomes.float().mean(-1)
    values = torch.stack([(rates == 1).float(), rates, torch.ones_like(rates)])  # [3, M]
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    gradients = torch.zeros(3, sum(parameter.numel() for parameter in parameters))
    probabilities = torch.zeros(len(texts))
    ids, mask = rollout.completion_ids[0], rollout.completion_mask[0]
    for rows in torch.arange(len(texts)).split(256):
        prompt_of = torch.zeros(len(rows), dtype=torch.long, device=ids.device)
        prompt = rollout.prompt_ids, rollout.prompt_mask
        scores = token_logprobs(policy, *prompt, ids[rows], mask[rows], prompt_of=prompt_of)
        scores = scores.masked_fill(~mask[rows], 0.0).sum(-1)
        probabilities[rows] = scores.detach().exp().cpu()
        for i in range(3):
            weights = (probabilities[rows] * values[i, rows]).to(scores.device)
            parts = torch.autograd.grad((weights * scores).sum(), parameters, retain_graph=i < 2)
            gradients[i] += torch.cat([part.flatten() for part in parts]).cpu()
    return Enumeration(rollout, outcomes, probabilities, gradients)


def exact_report(
    policy: Policy,
    problem: ToyProblem,
    sandbox: Sandbox,
    *,
    group_sizes: Sequence[int] = (4, 16),
    groups: int = 16,
    rewards: Sequence[str] | None = None,
    algorithm: str = "rloo",
    seed: int = 0,
) -> dict[str, Any]:
    """What groups of samples make of the exact gradient of P(full pass), on a toy problem with enumerated programs.

    mass       the probability that the policy gives to these programs. Groups are drawn from them alone, so all
               gradients here are those of the policy that writes no others: of P(full pass) / mass, E[pass rate] / mass
    p_full, pass_rate, cosine   the two objectives (of the policy as it is), and the cosine of their exact gradients
    rewards    for each reward (default: all of minirl.REWARDS) and group size, over the live ones of `groups` groups,
               drawn from the enumeration:
      cosine_of_mean    of the expected update with the gradient of P(full pass): do the objectives agree? 1: no bias
                        (an estimate from few groups: it may exceed 1, and is nan if they have nothing in common)
      agreement         length of the expected update / length of an update (root mean square): 1 if every group says
                        the same; what variance and conflict leave of it
      cosine_to_target  mean cosine of an update with the gradient of P(full pass), about the product of the two
      live              the share of groups with a signal
    """
    names = tuple(REWARDS) if rewards is None else rewards
    programs = enumerate_programs(policy, problem, sandbox)
    report, target = _exact_objectives(programs)
    report["rewards"] = {name: {} for name in names}
    generator = torch.Generator().manual_seed(seed)
    draws = {
        size: torch.multinomial(programs.probabilities, groups * size, True, generator=generator)
        for size in group_sizes
    }
    drawn = torch.cat(list(draws.values())).unique()
    ids, mask = programs.rollout.completion_ids[:, drawn], programs.rollout.completion_mask[:, drawn]
    some = replace(programs.rollout, completion_ids=ids, completion_mask=mask)
    gradients = sample_gradients(policy, some, 0, torch.ones(len(drawn), 1, device=ids.device)).cpu()  # [distinct, D]
    for size, places in draws.items():
        outcomes = programs.outcomes[places].view(groups, size, -1)
        rows = torch.searchsorted(drawn, places).view(groups, size)  # whose gradients they have
        for name in names:
            advantages = ADVANTAGES[algorithm](find_reward(name)(outcomes, torch.ones_like(outcomes)))
            pushes = torch.zeros(groups, len(drawn)).scatter_add_(1, rows, advantages)
            updates = (pushes @ gradients)[(pushes != 0).any(-1)]
            report["rewards"][name][size] = compare_updates(updates, target) | {"live": len(updates) / groups}
    return report


def _exact_objectives(programs: Enumeration) -> tuple[dict[str, Any], torch.Tensor]:
    """mass, p_full, pass_rate and cosine of exact_report; and the gradient of P(full pass) / mass, times mass [D]."""
    rates, mass = programs.outcomes.float().mean(-1), programs.probabilities.sum()
    objectives = torch.stack([programs.probabilities @ (rates == 1).float(), programs.probabilities @ rates])
    # grad (J / mass) = (grad J - J / mass grad mass) / mass: the factor 1 / mass changes no direction
    targets = programs.gradients[:2] - (objectives / mass).unsqueeze(-1) * programs.gradients[2]
    report = {"mass": float(mass), "p_full": float(objectives[0]), "pass_rate": float(objectives[1])}
    return report | {"cosine": cosine(*targets)}, targets[0]


def compare_updates(updates: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """Of independent updates u [n, D] with the expected value m, and a target: see exact_report.

    The mean of few updates has noise, which would pass for bias. So |m|^2 is estimated, without that, by the products
    u_i u_j of different updates.
    """
    n = len(updates)
    if n < 2:
        return dict.fromkeys(("cosine_of_mean", "agreement", "cosine_to_target"), math.nan)
    products, along = updates @ updates.T, updates @ target / target.norm()
    squares = products.diagonal()
    size = ((products.sum() - squares.sum()).clamp(min=0.0) / (n * (n - 1))).sqrt()  # |m|
    return {
        "cosine_of_mean": float(along.mean() / size) if size > 0 else math.nan,
        "agreement": float(size / squares.mean().sqrt()),
        "cosine_to_target": float((along / squares.sqrt()).mean()),
    }


# ----------------------------------------------------------------------------------------------------------------------
# Calibration: is a program that passes more tests nearer to a right one?


def slot_distances(problem: ToyProblem, outcomes: torch.Tensor) -> torch.Tensor:
    """How many of the three slots separate each program of the grammar (grammar_programs) from the nearest one that
    passes every test: [M, T] -> [M], from 0 to 3. A constant has no slot right."""
    slots = np.array(all_slots(problem.family), dtype=object)
    correct = slots[outcomes[: len(slots)].all(-1).numpy()]
    distances = (slots[:, None] != correct[None]).sum(-1).min(-1)  # [M without constants]
    return torch.tensor([*distances.tolist(), *[3] * len(problem.family.constants)])


def prefix_values(
    policy: Policy,
    problem: Problem,
    completions: Sequence[str],
    sandbox: Sandbox,
    *,
    shares: Sequence[float] = (0.25, 0.5, 0.75),
    samples: int = 8,
    config: Config | None = None,
    seed: int = 0,
) -> torch.Tensor:
    """How often the policy reaches a full pass if it goes on from the first tokens of a completion: [n, shares].

    Monte Carlo, `samples` continuations of each prefix, for any model. A sample whose pass rate promised progress
    should have prefixes from which a full pass is likelier.
    """
    config = config or Config()
    rows = [policy.encode(text) for text in completions]
    prefixes = [ids[: int(share * len(ids))] for ids in rows for share in shares]
    prompt = policy.prompt_ids(problem)
    continued = replace(policy)
    problems = [replace(problem, task_id=f"{problem.task_id}/{i}") for i in range(len(prefixes))]
    starts = {p.task_id: prefix for p, prefix in zip(problems, prefixes, strict=True)}
    continued.prompt_ids = lambda p: prompt + starts[p.task_id]  # a prefix is, to this copy, the end of its prompt
    rollout = sample(
        continued, problems, samples, max_new_tokens=config.max_new_tokens, temperature=config.temperature, seed=seed
    )
    texts = [policy.tokenizer.decode(prefix) for prefix in prefixes]
    futures = [
        [sandbox.submit(problem.program(text + rest, rollout.verbatim)) for rest in group]
        for text, group in zip(texts, rollout.completions, strict=True)
    ]
    values = [float(np.mean([future.result().all_passed for future in group])) for group in futures]
    return torch.tensor(values).view(len(completions), len(shares))


def reliability(predicted: np.ndarray, truth: np.ndarray, problem_of: np.ndarray, bins: int = 10) -> dict[str, Any]:
    """How well one number (the pass rate of a sample) tells another one (its progress towards a full pass).

    Returns bins, a list of (mean predicted, mean truth, samples) for a reliability diagram: calibrated is what lies on
    its diagonal. And whether one ranks the other, which is less: Spearman's rank correlation with a 95 % interval (a
    bootstrap over problems, [n] each, 1000 resamples), and its ceiling.
    """
    predicted, truth, problem_of = map(np.asarray, (predicted, truth, problem_of))
    place = np.minimum((predicted * bins + 1e-6).astype(int), bins - 1)  # 0.7 in float32 is a little less
    table = [
        (float(predicted[place == b].mean()), float(truth[place == b].mean()), int((place == b).sum()))
        for b in np.unique(place)
    ]
    names, rng = np.unique(problem_of), np.random.default_rng(0)
    members = {name: np.flatnonzero(problem_of == name) for name in names}
    draws = []
    for _ in range(1000):
        chosen = np.concatenate([members[name] for name in rng.choice(names, len(names))])
        draws.append(spearman(predicted[chosen], truth[chosen]))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return {"bins": table, "spearman": spearman(predicted, truth), "low": float(low), "high": float(high)} | {
        "ceiling": spearman_ceiling(predicted, truth)
    }


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; nan where one side is constant.

    >>> round(spearman(np.array([1, 2, 3]), np.array([1, 8, 9])), 6)
    1.0
    """

    def ranks(x: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return (counts.cumsum() - (counts + 1) / 2)[inverse]

    a, b = ranks(a) - ranks(a).mean(), ranks(b) - ranks(b).mean()
    size = math.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else math.nan


def spearman_ceiling(a: np.ndarray, b: np.ndarray) -> float:
    """The highest rank correlation that these values can have, in any order: ties keep it below 1.

    >>> round(spearman_ceiling(np.array([1, 2, 3, 4]), np.array([0, 1, 0, 0])), 2)
    0.77
    """
    return spearman(np.sort(a), np.sort(b))


def misleading_tests(outcomes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The share of the samples that are no full pass which pass each test all the same: [P, G, T] -> [P, T]; nan where
    every sample is a full pass, and for tests that do not exist. A test near 1 pays for nothing."""
    wrong = (binary(outcomes, mask) == 0).unsqueeze(-1)
    shares = (outcomes & wrong).sum(1) / wrong.sum(1)
    return shares.masked_fill(~mask[:, 0], math.nan)


# ----------------------------------------------------------------------------------------------------------------------
# Density: which groups have a signal, counted and in theory


def group_census(outcomes: torch.Tensor, mask: torch.Tensor, group_size: int | None = None) -> dict[str, float]:
    """What kinds of groups there are, as shares, and which of them give no signal under which reward.

    outcomes, mask [P, G, T]. all_pass: every sample passes; mixed: some do; partial_only: none does, but some test is
    passed; nothing: no test is. dead/REWARD: all rewards of the group are equal. A smaller group_size takes the samples
    in so many smaller groups, as if they had been drawn so.
    """
    size = group_size or outcomes.shape[1]
    groups = outcomes.shape[1] // size
    if not groups:
        raise UsageError(f"group_size must be at most {outcomes.shape[1]}, the samples of each problem, got {size}")
    outcomes, mask = (x[:, : groups * size].reshape(-1, size, x.shape[-1]) for x in (outcomes, mask))
    full, some = binary(outcomes, mask), (outcomes & mask).any(-1).any(-1)
    kinds = {
        "all_pass": full.all(-1),
        "mixed": full.any(-1) & ~full.all(-1),
        "partial_only": ~full.any(-1) & some,
        "nothing": ~some,
    }
    kinds |= {f"dead/{name}": is_dead(reward(outcomes, mask)).squeeze(-1) for name, reward in REWARDS.items()}
    return {name: float(groups_of_kind.float().mean()) for name, groups_of_kind in kinds.items()}


def live_groups(p: float, group_size: int) -> float:
    """The chance that a group has signal under the binary reward, if each sample passes with probability p.

    1 - (1 - p)^G - p^G.

    >>> live_groups(0.5, 2)
    0.5
    """
    return 1 - (1 - p) ** group_size - p**group_size
