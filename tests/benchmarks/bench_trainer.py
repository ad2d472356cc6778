"""One training step of the toy: minirl against TRL's GRPOTrainer, and against what this machine's arithmetic allows.

    pip install -e '.[bench]'
    python tests/benchmarks/bench_trainer.py [--rounds 5] [--steps 100] [--trl-python PYTHON]

Both trainers get the same weights, problems in the same order, group size, completion length, optimizer, float32 and
the same sandbox reward; neither scores samples a second time nor keeps a reference model. Each runs alone in a process
of its own, and they take turns; the first steps of a process are warm-up. `--trl-python` names the interpreter of
another environment that has TRL (and torch), for those who keep it apart.

The lower bound counts the multiplications and additions of one step that cannot be left out: every prompt and every
sampled token once, in sampling and (three times) in the update, at the rate of a large float32 matrix product measured
here. It leaves out attention, softmax, normalisation, Python, the optimizer and the sandbox.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import minirl

WARM_UP = 4


def peak_megabytes() -> float:
    """Peak resident memory of this process. (ru_maxrss would count the parent's memory before exec.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def settings(arguments: argparse.Namespace) -> minirl.Config:
    return minirl.Config(
        model=arguments.model,
        lr=5e-4,
        max_new_tokens=32,
        prompt_style="verbatim",
        steps=arguments.steps,
        reward=arguments.reward,
        eval_every=0,
        eval_size=1,
        save_every=10**6,
        out=arguments.out,
    )


def run_minirl(arguments: argparse.Namespace) -> None:
    """`minirl train`, as it is. One row of metrics is appended at the end of every step."""
    ends = []
    append = minirl.append_jsonl
    minirl.append_jsonl = lambda *given: (append(*given), ends.append(time.perf_counter()))
    folder = minirl.train(settings(arguments))
    rows = minirl.read_jsonl(folder / "metrics.jsonl")[1 + WARM_UP :]
    steps = [after - before for before, after in itertools.pairwise(ends[WARM_UP:-1])]  # the last one evaluates
    parts = {name: statistics.median(row["seconds"][name] for row in rows) for name in rows[0]["seconds"]}
    tokens = statistics.mean(row["tokens"] for row in rows)
    print(json.dumps({"steps": steps, "peak_mb": peak_megabytes(), "parts": parts, "tokens": tokens}))


def run_trl(arguments: argparse.Namespace) -> None:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    config = settings(arguments)
    train_problems, _ = minirl.training_problems(config)
    order = [p for step in range(1, config.steps + 1) for p in minirl.problems_of_step(train_problems, config, step)]
    by_id = {problem.task_id: problem for problem in order}
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            ends.append(time.perf_counter())

    with minirl.open_sandbox(config) as sandbox:

        def reward(completions, task_id, **_):
            pairs = list(zip(task_id, completions, strict=True))
            distinct = list(dict.fromkeys(pairs))  # minirl runs identical programs once, too
            results = sandbox.map([by_id[name].program(text) for name, text in distinct])
            rewards = [float(r.all_passed) if config.reward == "binary" else r.pass_rate for r in results]
            return [dict(zip(distinct, rewards, strict=True))[pair] for pair in pairs]

        policy = minirl.load_policy(arguments.model)
        trainer = GRPOTrainer(
            model=policy.model,
            processing_class=policy.tokenizer,
            reward_funcs=reward,
            train_dataset=Dataset.from_list([{"prompt": p.prompt, "task_id": p.task_id} for p in order]),
            callbacks=[Clock()],
            args=GRPOConfig(
                output_dir=arguments.out,
                per_device_train_batch_size=config.problems_per_step * config.group_size,
                num_generations=config.group_size,
                gradient_accumulation_steps=1,
                steps_per_generation=1,
                num_iterations=1,
                max_steps=config.steps,
                max_completion_length=config.max_new_tokens,
                temperature=config.temperature,
                top_k=0,
                top_p=1.0,
                beta=0.0,
                loss_type="grpo",
                scale_rewards="group",
                learning_rate=config.lr,
                lr_scheduler_type="constant_with_warmup",
                warmup_steps=config.warmup_steps,
                weight_decay=config.weight_decay,
                max_grad_norm=config.max_grad_norm,
                optim="adamw_torch",
                shuffle_dataset=False,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                disable_dropout=True,
                logging_steps=10**6,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
        )
        trainer.train()
    steps = [after - before for before, after in itertools.pairwise(ends[WARM_UP:])]
    print(json.dumps({"steps": steps, "peak_mb": peak_megabytes()}))


def matrix_rate() -> float:
    """Float32 operations a second of a large matrix product: the best of 10."""
    a = torch.randn(1024, 1024)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best


def lower_bound(policy: minirl.Policy, tokens: float, prompt_tokens: float) -> float:
    """Operations of one step: 2 a weight and token forward, twice that backward; the head at completion tokens only."""
    head = policy.model.get_output_embeddings().weight.numel()
    tied = policy.model.get_input_embeddings().weight is policy.model.get_output_embeddings().weight
    body = sum(p.numel() for p in policy.model.parameters()) - head * (1 if tied else 2)
    return (1 + 3) * 2 * (body * (tokens + prompt_tokens) + head * tokens)


def child(name: str, arguments: argparse.Namespace, model: Path, scratch: Path) -> dict:
    python = arguments.trl_python if name == "trl" else sys.executable
    command = [python, __file__, "--run", name, "--model", str(model), "--out", str(scratch)]
    command += ["--steps", str(arguments.steps), "--reward", arguments.reward]
    environment = os.environ | {"PYTHONPATH": str(Path(minirl.__file__).parent), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--reward", default="binary", choices=["binary", "pass_rate"])
    parser.add_argument("--trl-python", default=sys.executable)
    parser.add_argument("--run", choices=["minirl", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < WARM_UP + 2:
        parser.error(f"--steps must be at least {WARM_UP + 2}: the first {WARM_UP} are warm-up")
    if arguments.run:
        return {"minirl": run_minirl, "trl": run_trl}[arguments.run](arguments)
    policy = minirl.load_policy("toy")
    config = minirl.Config()
    samples = config.problems_per_step * config.group_size
    results: dict[str, list[dict]] = {"minirl": [], "trl": []}
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch, "base")
        policy.model.save_pretrained(model)
        policy.tokenizer.save_pretrained(model)
        for round_ in range(arguments.rounds):
            for name, rows in results.items():
                rows.append(child(name, arguments, model, Path(scratch, f"{name}-{round_}")))
                median = statistics.median(rows[-1]["steps"])
                print(f"round {round_ + 1}  {name:7} {samples / median:6.1f} samples/s", file=sys.stderr)
    medians = {name: [statistics.median(row["steps"]) for row in rows] for name, rows in results.items()}
    ratios = [trl / ours for ours, trl in zip(medians["minirl"], medians["trl"], strict=True)]
    how = f"{arguments.rounds} rounds of {arguments.steps} steps, {arguments.reward} reward, {os.cpu_count()} cores"
    print(f"{how}\n\n| | a step | samples/s | peak memory |\n|---|---|---|---|")
    for name, rows in results.items():
        step = statistics.median(medians[name])
        peak = max(row["peak_mb"] for row in rows)
        print(f"| {name} | {step:.3f} s | {samples / step:.0f} | {peak:.0f} MB |")
    print(f"minirl / TRL, samples/s: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    ours = results["minirl"]
    parts = {name: statistics.median(row["parts"][name] for row in ours) for name in ours[0]["parts"]}
    print("where minirl's step goes: " + ", ".join(f"{name} {seconds:.3f} s" for name, seconds in parts.items()))
    problems, _ = minirl.training_problems(config)
    prompts = [policy.prompt_ids(problem) for problem in minirl.problems_of_step(problems, config, 1)]
    rate = matrix_rate()
    operations = lower_bound(policy, statistics.median(row["tokens"] for row in ours), sum(map(len, prompts)))
    bound = operations / rate
    step = statistics.median(medians["minirl"])
    print(
        f"lower bound: {operations / 1e9:.1f} G operations at {rate / 1e9:.0f} G/s = {bound:.3f} s; "
        f"minirl's step is {step / bound:.1f} times that"
    )


if __name__ == "__main__":
    main()
