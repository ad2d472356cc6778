"""Sampling: minirl against transformers.generate, 64 rows of the same length.

    python tests/benchmarks/bench_sampling.py [--model NAME] [--rounds 3] [--tokens 64] [--problems 8] [--group-size 8]

Both continue the same prompts (toy problems, as the model is asked them) from the full distribution at temperature 1,
in float32, to the same number of tokens: end tokens do not end a sample here. The unit is the groups of one training
step: every prompt is wanted `--group-size` times. Each runs alone in a process of its own, and they take turns.
Without --model, weights are random, in the shape of SmolLM2-135M, and prompts have random tokens.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import minirl

SMOLLM2_135M = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "eos_token_id": 2,
}
PROMPT_TOKENS = 60


def load(arguments: argparse.Namespace) -> tuple[minirl.Policy, list[minirl.Problem]]:
    problems = minirl.toy_problems("test")[: arguments.problems]
    if arguments.model:
        return minirl.load_policy(arguments.model), problems
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = minirl.toy_tokenizer(minirl.toy_problems("train"))
    policy = minirl.make_policy(LlamaForCausalLM(LlamaConfig(**SMOLLM2_135M)), tokenizer)
    rng = random.Random(0)
    prompts = {problem.task_id: rng.choices(range(3, 49152), k=PROMPT_TOKENS) for problem in problems}
    policy.prompt_ids = lambda problem: prompts[problem.task_id]
    return policy, problems


def run(arguments: argparse.Namespace) -> None:
    """Sample twice, the first time to warm up; print seconds and the peak of resident memory."""
    policy, problems = load(arguments)
    prompts = [policy.prompt_ids(problem) for problem in problems]
    policy.prompt_ids = lambda problem: prompts[problems.index(problem)]
    policy.eos_ids, policy.prompt_style = (-1,), "verbatim"  # nothing ends a sample
    for tokens in (4, arguments.tokens):
        started = time.perf_counter()
        if arguments.run == "minirl":
            rollout = minirl.sample(policy, problems, arguments.group_size, max_new_tokens=tokens)
            count = int(rollout.completion_mask.sum())
        else:
            ids, mask = policy.pad(prompts, side="left")
            output = policy.model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=arguments.group_size,
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                pad_token_id=policy.pad_id,
            )
            count = output[:, ids.shape[1] :].numel()
        seconds = time.perf_counter() - started
    assert count == len(problems) * arguments.group_size * tokens
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"tokens_per_second": count / seconds, "peak_mb": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--run", choices=["minirl", "generate"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        return run(arguments)
    results: dict[str, list[dict]] = {"minirl": [], "generate": []}
    for round_ in range(arguments.rounds):
        for name, rows in results.items():
            done = subprocess.run([sys.executable, *sys.argv, "--run", name], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
            rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
            print(f"round {round_ + 1}  {name:9} {rows[-1]['tokens_per_second']:6.0f} tokens/s", file=sys.stderr)
    batch = f"{arguments.problems * arguments.group_size} rows of {arguments.tokens} tokens"
    print(f"{batch}, {arguments.rounds} rounds, {torch.get_num_threads()} cores\n")
    print("| | tokens/s | peak memory |", "|---|---|---|", sep="\n")
    for name, rows in results.items():
        speed = statistics.median(row["tokens_per_second"] for row in rows)
        print(f"| {name} | {speed:.0f} | {max(row['peak_mb'] for row in rows):.0f} MB |")
    speeds = [[row["tokens_per_second"] for row in rows] for rows in results.values()]
    ratios = [ours / theirs for ours, theirs in zip(*speeds, strict=True)]
    print(f"minirl / generate: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
