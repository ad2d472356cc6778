"""Reinforcement learning for code on one page: a model writes programs, and unit tests are its only teacher.

    python tutorials/one_page.py

A step takes 8 problems, lets the model write 8 programs for each, and runs them against the tests of their problem.
Programs that pass become likelier, those that fail less likely. Nobody shows the model a solution. After a minute on
two cores (the first time, the base model takes one more), the share of programs that pass all tests has risen:

    held-out problems, before: 0.16
    steps  1 to  5: 0.21 of the samples pass all tests
    steps 16 to 20: 0.58 of the samples pass all tests
    held-out problems, after:  0.69

To change: for GRPO, the comment in rloo; for another reward, the comment in rewards_of.
Where the same stands in minirl.py, and what it adds:

    sample_group  sample: all groups at once; the model reads a prompt once and each new token once
    rewards_of    grade, REWARDS: the outcome of every single test, and rewards made of them
    rloo          ADVANTAGES: grpo, dr_grpo, reinforce
    log_prob      token_logprobs: prompts of different lengths in one batch
    loss_of       policy_loss, token_weights: more updates on one batch, a KL penalty, other means over tokens
    train         train, update: warm-up, clipped gradients, batches larger than memory, a log, exact resume
"""

import random

import torch

import minirl  # for the toy only: its problems, and a small model that writes careless solutions to them
from sandbox import Sandbox

P = 8  # problems a step
G = 8  # samples a problem: its group
MAX_NEW_TOKENS = 32
STEPS = 20
LEARNING_RATE = 3e-4  # at 1e-3 the model sometimes breaks down: try it


@torch.no_grad()
def sample_group(policy, problem, group_size=G, max_new_tokens=MAX_NEW_TOKENS):
    """Let the model write G completions of one prompt.

    Returns ids [G, prompt + L], the prompt and what follows it, and mask [G, L]: True on what the model wrote, its end
    token included, and False on what follows the end token, which means nothing.
    """
    prompt = policy.tokenizer.encode(problem.prompt, return_tensors="pt")  # [1, prompt]
    ids = prompt.repeat(group_size, 1)
    running = torch.ones(group_size, dtype=torch.bool)  # [G]: which samples have not ended
    mask = []
    while running.any() and len(mask) < max_new_tokens:
        logits = policy.model(ids).logits[:, -1]  # [G, V]: the whole text again for every token, slow and simple
        # From the full distribution, not top-k or top-p: the samples must come from the pi(y) that log_prob computes.
        token = torch.multinomial(logits.softmax(-1), 1)  # [G, 1]
        ids = torch.cat([ids, token], dim=1)
        mask.append(running)
        running = running & ~torch.isin(token[:, 0], torch.tensor(policy.eos_ids))
    return ids, torch.stack(mask, dim=1)


def run_tests(policy, problem, ids, mask, sandbox):
    """Run the group's programs against the tests of their problem. Returns G results."""
    written = ids[:, -mask.shape[1] :]  # [G, L]
    texts = [policy.tokenizer.decode(row[m], skip_special_tokens=True) for row, m in zip(written, mask, strict=True)]
    programs = [problem.program(text, verbatim=True) for text in texts]  # the prompt, and what was written after it
    return list(sandbox.map(programs))


def full_passes(results):
    """1 for a program that passed every test, else 0: what we want. G results -> [G]."""
    return torch.tensor([float(result.all_passed) for result in results])


def rewards_of(results):
    """What the model is trained on: the binary reward is the full pass itself. G results -> [G]."""
    return full_passes(results)
    # The share of passed tests instead: return torch.tensor([result.pass_rate for result in results])


def rloo(rewards):
    """The advantage of a sample: its reward, minus the mean reward of the others in its group. [P, G] -> [P, G].

    The others tell how hard the problem is: a pass where they fail counts more than a pass where they pass, too.
    A dead group, in which all rewards are equal, gets 0 everywhere: it does not say what is better.
    """
    others = rewards.sum(-1, keepdim=True) - rewards
    return rewards - others / (rewards.shape[-1] - 1)
    # GRPO instead: return (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std(-1, keepdim=True) + 1e-4)


def log_prob(model, ids, mask):
    """log pi(y) of every sample y of a group: the sum of the log-probabilities of its tokens. -> [G], with gradient."""
    length = mask.shape[1]
    logits = model(ids).logits[:, -length - 1 : -1]  # [G, L, V]: a token is predicted at the place before it
    token_log_probs = logits.log_softmax(-1).gather(-1, ids[:, -length:, None]).squeeze(-1)  # [G, L]
    return (token_log_probs * mask).sum(-1)  # the end token counts: to stop in time is part of a right program


def loss_of(model, groups, advantages):
    """A number whose gradient is minus the policy gradient. groups: P pairs (ids, mask); advantages [P, G].

    We want more reward, and the sandbox has no derivative. But  grad E[R(y)] = E[R(y) grad log pi(y)],  and the right
    side needs the derivative of the model only: make a sample likelier in proportion to its reward. RLOO's advantage in
    place of the reward leaves the expectation as it is and takes noise away: the baseline knows nothing of the sample.
    (minirl also divides by max_new_tokens. A constant factor changes nothing here: Adam's step does not depend on it.)
    """
    log_probs = torch.stack([log_prob(model, ids, mask) for ids, mask in groups])  # [P, G]
    return -(advantages * log_probs).mean()


def train(policy, problems, sandbox, steps=STEPS, learning_rate=LEARNING_RATE):
    """Train the policy in place. Returns for every step the share of samples that pass all tests."""
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=learning_rate, weight_decay=0.0)
    shares = []
    for step in range(1, steps + 1):
        batch = random.sample(problems, P)
        groups = [sample_group(policy, problem) for problem in batch]  # P pairs: ids [G, prompt + L], mask [G, L]
        results = [run_tests(policy, problem, *group, sandbox) for problem, group in zip(batch, groups, strict=True)]
        rewards = torch.stack([rewards_of(group) for group in results])  # [P, G]
        loss = loss_of(policy.model, groups, rloo(rewards))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shares.append(float(torch.stack([full_passes(group) for group in results]).mean()))
        if step % 5 == 0:  # a single step is noisy: print the mean of five
            print(f"steps {step - 4:2} to {step:2}: {sum(shares[-5:]) / 5:.2f} of the samples pass all tests")
    return shares


def evaluate(policy, problems, sandbox):
    """The share of samples that pass all tests, on problems that the model is not trained on."""
    results = [run_tests(policy, problem, *sample_group(policy, problem), sandbox) for problem in problems]
    return float(torch.stack([full_passes(group) for group in results]).mean())


def main():
    random.seed(0)
    torch.manual_seed(0)
    policy = minirl.load_policy("toy")
    # "Return whether all even numbers in xs are positive." The model knows these best: few groups are dead at first.
    problems = minirl.toy_problems("train", families=["predicates"])
    held_out = minirl.toy_problems("test", families=["predicates"])
    with Sandbox() as sandbox:
        print(f"held-out problems, before: {evaluate(policy, held_out, sandbox):.2f}")
        train(policy, problems, sandbox)
        print(f"held-out problems, after:  {evaluate(policy, held_out, sandbox):.2f}")


if __name__ == "__main__":
    main()
