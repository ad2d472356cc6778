"""Reinforcement learning for code on one page: PyTorch, a small language model, a sandbox, and nothing else.

    python tutorials/one_page.py

Sample programs, run them against tests, make those that pass likelier: twenty times, with a line every four. (The first
time, the toy's base model is made, too.) The share of samples that pass all tests rises, in steps that are noisy.

To change: GRPO instead of RLOO (the line below `rloo`), another reward (`rewards_of`), more steps, other problems.
In minirl.py the same things are sample, grade, ADVANTAGES, token_logprobs and policy_loss, update and train: there with
a KV cache, prompts of different lengths in one batch, the clip, micro-batches, and a folder for every run.
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


def rewards_of(policy, problem, ids, mask, sandbox):
    """Run the group's programs: 1 for a program that passes every test of its problem, else 0. Returns [G]."""
    written = ids[:, -mask.shape[1] :]  # [G, L]
    texts = [policy.tokenizer.decode(row[m], skip_special_tokens=True) for row, m in zip(written, mask, strict=True)]
    programs = [problem.program(text, verbatim=True) for text in texts]  # the prompt, and what was written after it
    return torch.tensor([float(result.all_passed) for result in sandbox.map(programs)])


def rloo(rewards):
    """The advantage of a sample: its reward, minus the mean reward of the others in its group. [P, G] -> [P, G].

    A dead group, in which all rewards are equal, gets 0 everywhere. It says nothing about what is better.
    """
    others = rewards.sum(-1, keepdim=True) - rewards
    return rewards - others / (rewards.shape[-1] - 1)
    # GRPO instead: return (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std(-1, keepdim=True) + 1e-4)


def log_prob(model, ids, mask):
    """log pi(y) of every sample y of a group: the sum of the log-probabilities of its tokens. -> [G], with gradient."""
    length = mask.shape[1]
    logits = model(ids).logits[:, -length - 1 : -1]  # [G, L, V]: what is predicted at a token is the next one
    token_log_probs = logits.log_softmax(-1).gather(-1, ids[:, -length:, None]).squeeze(-1)  # [G, L]
    return (token_log_probs * mask).sum(-1)


def loss_of(model, groups, advantages):
    """A number whose gradient is minus the policy gradient. groups: P pairs (ids, mask); advantages [P, G].

    We want more reward, and the sandbox has no derivative. But  grad E[R(y)] = E[R(y) grad log pi(y)],  and the right
    side needs the derivative of the model only: make a sample likelier in proportion to its reward. With the advantage
    in place of the reward the mean stays the same, and samples below their group's mean become less likely.
    """
    log_probs = torch.stack([log_prob(model, ids, mask) for ids, mask in groups])  # [P, G]
    return -(advantages * log_probs).mean()


def train(policy, problems, sandbox, steps=STEPS, learning_rate=LEARNING_RATE):
    """Train the policy in place. Returns for every step the share of samples that pass all tests."""
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=learning_rate, weight_decay=0.0)
    full_passes = []
    for step in range(1, steps + 1):
        batch = random.sample(problems, P)
        groups = [sample_group(policy, problem) for problem in batch]
        rewards = [rewards_of(policy, problem, *group, sandbox) for problem, group in zip(batch, groups, strict=True)]
        rewards = torch.stack(rewards)  # [P, G]
        loss = loss_of(policy.model, groups, rloo(rewards))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        full_passes.append(float(rewards.mean()))
        if step % 4 == 0:  # one step is noisy, so print a mean over four
            print(f"steps {step - 3:2} to {step:2}: {sum(full_passes[-4:]) / 4:.2f} of the samples pass all tests")
    return full_passes


def evaluate(policy, problems, sandbox):
    """The share of samples that pass all tests, on problems that the model is not trained on."""
    rewards = [rewards_of(policy, problem, *sample_group(policy, problem), sandbox) for problem in problems]
    return float(torch.stack(rewards).mean())


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
