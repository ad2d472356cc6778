"""Dynamic sampling: draw until enough groups have a signal, then update (DAPO, Yu et al. 2025, arXiv 2503.14476, 3.2).

    python tutorials/dynamic_sampling.py --toy-noise 0.7 --steps 600      the settings of minirl train

A group whose rewards are all equal adds nothing to the gradient. minirl.train updates after every batch, with what is
left of it: two live groups, or none. Here a step draws a batch, too, but its live groups wait until there are
LIVE_GROUPS of them. So equal numbers of steps are equal numbers of programs, and there are fewer updates, each with as
many groups. They wait for no update but their own: the samples are on-policy.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

import minirl
from minirl import ADVANTAGES, Config, Rollout, Sandbox, UsageError, find_reward, grade, is_dead, sample_step, update

LIVE_GROUPS = 6


def train(config: Config, sandbox: Sandbox | None = None, live_groups: int = LIVE_GROUPS) -> Path:
    """minirl.train with dynamic sampling, in one process; returns the run folder. A run that is resumed has lost the
    groups that waited."""
    if config.kl or minirl.world_size() > 1:
        raise UsageError("dynamic sampling is for one process and without --kl, which would update in every step")
    reward, advantage = find_reward(config.reward), ADVANTAGES[config.algorithm]
    with minirl.open_run(config, sandbox, reward) as run:
        waiting: list[tuple[Rollout, torch.Tensor]] = []
        for step in range(run.done + 1, config.steps + 1):
            clock = [time.perf_counter()]
            problems = minirl.problems_of_step(run.problems, config, step)
            rollout = sample_step(run.policy, problems, config, step)
            clock.append(time.perf_counter())
            outcomes, mask = grade(problems, rollout, run.sandbox)
            clock.append(time.perf_counter())
            rewards = reward(outcomes, mask, rollout)  # [P, G]
            advantages = advantage(rewards).to(run.policy.device)
            for group in run.optimizer.param_groups:
                group["lr"] = config.lr * min(1.0, step / max(1, config.warmup_steps))
            # What is new: dead groups are left out, and the others wait for enough of their kind.
            waiting.append(groups_of(rollout, advantages, ~is_dead(rewards).squeeze(-1)))
            if sum(len(live) for _, live in waiting) >= live_groups or step == config.steps:
                together, waiting = joined(waiting), []
            else:
                together = rollout, torch.zeros_like(advantages)  # nothing to learn from: no step is taken
            stats = update(run.policy, run.optimizer, *together, config, run.reference)
            clock.append(time.perf_counter())
            run.finish_step(step, problems, rollout, outcomes, mask, rewards, stats, clock)
    return run.folder


PROMPTS, SAMPLES = ("prompt_ids", "prompt_mask"), ("completion_ids", "completion_mask", "logprobs", "entropy")


def groups_of(rollout: Rollout, advantages: torch.Tensor, chosen: torch.Tensor) -> tuple[Rollout, torch.Tensor]:
    """Some groups of a batch, as far as update() needs them. chosen [P], of booleans."""
    parts = {name: getattr(rollout, name)[chosen] for name in PROMPTS + SAMPLES}
    return replace(rollout, **parts), advantages[chosen]


def joined(batches: list[tuple[Rollout, torch.Tensor]]) -> tuple[Rollout, torch.Tensor]:
    """Several batches as one: prompts are padded left, completions right, to the widest."""
    rollouts, advantages = zip(*batches, strict=True)
    parts = {}
    for name in PROMPTS + SAMPLES:
        tensors = [getattr(rollout, name) for rollout in rollouts]
        width = max(tensor.shape[-1] for tensor in tensors)
        gaps = [(width - t.shape[-1], 0) if name in PROMPTS else (0, width - t.shape[-1]) for t in tensors]
        parts[name] = torch.cat([F.pad(tensor, gap) for tensor, gap in zip(tensors, gaps, strict=True)])
    return replace(rollouts[0], **parts), torch.cat(advantages)


def main(argv: list[str] | None = None) -> int:
    """The command line is minirl's."""
    minirl.train = train
    return minirl.main(["train", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
