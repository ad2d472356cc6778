"""Everything that takes a GPU, in one call of under 9 minutes: tests, agreement with the CPU, speed, memory.

    pip install -e '.[test]'
    python tests/benchmarks/bench_gpu.py [--out FILE.md] [--budget 520]

It runs the tests of tests/test_cuda.py, trains the toy on the CPU and on the GPU, and takes one GRPO step of a model in
the shape of Qwen2.5-Coder-0.5B with random weights: 64 prompts of 96 to 160 tokens, 8 samples each, 256 tokens. The end
token is switched off, so that every sample has its full length. The same prompts go to `transformers.generate`, and to
TRL's GRPOTrainer where TRL is installed. The limits are measured in the same run: the memory bandwidth by copying 4 GB,
the matrix rate by a bfloat16 product of 8192 x 8192. Sections that do not fit into --budget seconds are left out, and
named. `--device cpu --tiny` rehearses everything with a tiny model, where times mean nothing.
"""

import argparse
import contextlib
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from cuda_graphs import Graphs
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

import minirl

HERE = Path(__file__).resolve().parent
STARTED = time.perf_counter()
QWEN = {"vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24}
QWEN |= {"num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True}
TINY = QWEN | {"vocab_size": 1000, "hidden_size": 56, "intermediate_size": 64, "num_hidden_layers": 2}
rows: list[str] = []


def say(name: str, value: str) -> None:
    rows.append(f"| {name} | {value} |")
    print(f"[{time.perf_counter() - STARTED:4.0f} s] {name}: {value}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def section(name: str, arguments: argparse.Namespace, seconds: float):
    """Run a section, if `seconds` are left; its failure is a row of the table."""
    if time.perf_counter() - STARTED + seconds > arguments.budget:
        say(name, "left out, no time")
        yield False
        return
    try:
        yield True
    except Exception as error:
        say(name, f"FAILED: {type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}")
        import traceback

        traceback.print_exc()


def clock(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak(device: str, reset: bool = False) -> float:
    """GB allocated at most since the last reset."""
    if device == "cpu":
        return float("nan")
    if reset:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated() / 1e9


def word_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of words w0, w1, ...: random weights need no better one."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({f"w{i}": i for i in range(size)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="w0", eos_token="w1")


def random_problems(count: int, vocabulary: int) -> list[minirl.Problem]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(96, 161, (count,), generator=generator).tolist()
    words = [torch.randint(2, vocabulary, (n,), generator=generator).tolist() for n in lengths]
    test = [minirl.Call((1,), 1)]
    return [minirl.Problem(f"p{i}", " ".join(f"w{w}" for w in ids), test, "f") for i, ids in enumerate(words)]


def limits(device: str) -> tuple[float, float]:
    """Bytes a second of a copy (read and written), and operations a second of a bfloat16 matrix product."""
    big = device != "cpu"
    source = torch.empty(2**32 if big else 2**26, dtype=torch.uint8, device=device)
    target, best_copy, best_product = torch.empty_like(source), 1e9, 1e9
    a = torch.randn(8192 if big else 512, 8192 if big else 512, device=device, dtype=torch.bfloat16)
    for _ in range(8):
        started = clock(device)
        target.copy_(source)
        best_copy = min(best_copy, clock(device) - started)
        started = clock(device)
        a @ a
        best_product = min(best_product, clock(device) - started)
    return 2 * source.numel() / best_copy, 2 * len(a) ** 3 / best_product


def toy_agreement(arguments: argparse.Namespace) -> None:
    steps = 2 if arguments.tiny else 10
    with tempfile.TemporaryDirectory() as scratch:
        cases = (("cpu", "float32"), (arguments.device, "float32"), (arguments.device, "bfloat16"))
        for i, (device, precision) in enumerate(cases):
            out = f"{scratch}/{i}"
            config = minirl.Config(steps=steps, eval_every=0, device=device, precision=precision, out=out)
            metrics = minirl.read_jsonl(minirl.train(config) / "metrics.jsonl")
            first, last = metrics[1], metrics[-1]
            taken = {part: sorted(row["seconds"][part] for row in metrics[1:])[steps // 2] for part in first["seconds"]}
            parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in taken.items())
            say(
                f"toy, {steps} steps, {device} {precision}",
                f"first step: reward {first['reward']:.4f}, gradient {first['grad_norm']:.5f}, sampler to trainer "
                f"{first['logprob_gap']:.1e} nats; held-out pass@1 {metrics[0]['eval/pass@1']:.3f} to "
                f"{last['eval/pass@1']:.3f}; a step: {parts} s",
            )


def decode_bound(model: torch.nn.Module, prompts: list[int], group: int, tokens: int, bandwidth: float) -> float:
    """Seconds in which the memory could deliver what decoding reads: weights, keys and values, each step."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    config = model.config
    head = config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * head * 2
    keys = sum(group * (prompt + t) * per_token for prompt in prompts for t in range(1, tokens))
    return (weights * (tokens - 1) + keys) / bandwidth


def sampling(policy, problems, group: int, tokens: int, bound: float) -> tuple[float, minirl.Rollout]:
    """minirl's decoder and that of cuda_graphs.py take turns; seconds and samples of minirl's."""
    device, shape = policy.device.type, f"{len(problems)} x {group} x {tokens}"
    variants = {", with CUDA graphs (cuda_graphs.py)": Graphs(), "": contextlib.nullcontext()}
    taken, peaks = {name: [] for name in variants}, {}
    for _ in range(3):
        for name, variant in variants.items():
            peak(device, reset=True)
            with variant:
                started = clock(device)
                rollout = minirl.sample(policy, problems, group, max_new_tokens=tokens, seed=1)
                taken[name].append(clock(device) - started)
            assert rollout.completion_mask.all()
            peaks[name] = peak(device)
    for name, (_, *seconds) in taken.items():  # the first time is warm-up
        mean = sum(seconds) / len(seconds)
        say(
            f"sampling {shape}{name}",
            f"{' and '.join(f'{x:.2f}' for x in seconds)} s, {len(problems) * group * tokens / mean:.0f} tokens/s, "
            f"{1000 * mean / tokens:.2f} ms a token; {100 * bound / mean:.0f} % of the bandwidth's limit "
            f"({bound:.2f} s); peak {peaks[name]:.1f} GB",
        )
    return mean, rollout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--budget", type=float, default=520.0, help="seconds")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    device = arguments.device
    if device != "cpu" and not torch.cuda.is_available():
        sys.exit("there is no GPU here; --device cpu --tiny rehearses")
    name = torch.cuda.get_device_name() if device != "cpu" else "CPU (a rehearsal)"
    import transformers

    say("machine", f"{name}, torch {torch.__version__}, transformers {transformers.__version__}")

    with section("tests/test_cuda.py", arguments, 60) as go:
        if go:
            command = [sys.executable, "-m", "pytest", "--tb=short", "--show-capture=no", "-o", "addopts="]
            done = subprocess.run([*command, HERE.parent / "test_cuda.py"], capture_output=True, text=True)
            print(done.stdout[-6000:], done.stderr[-2000:], file=sys.stderr)
            say("tests/test_cuda.py", (done.stdout.strip() or done.stderr.strip()).splitlines()[-1])

    shape = TINY if arguments.tiny else QWEN
    count, group, tokens = (4, 2, 40) if arguments.tiny else (64, 8, 256)
    bandwidth, rate = limits(device)
    say("measured limits", f"{bandwidth / 1e9:.0f} GB/s copied, {rate / 1e12:.1f} T operations/s in bfloat16")
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2ForCausalLM(Qwen2Config(max_position_embeddings=4096, **shape))
    tokenizer = word_tokenizer(shape["vocab_size"])
    precision = torch.bfloat16
    policy = minirl.make_policy(model, tokenizer, precision)
    policy.eos_ids = (10**9,)  # no sample ends early
    problems = random_problems(count, shape["vocab_size"])
    lengths = [len(policy.prompt_ids(problem)) for problem in problems]
    sampled = count * group * tokens
    config = minirl.Config(max_new_tokens=tokens, group_size=group, problems_per_step=count, lr=1e-6)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-6, weight_decay=0.0, fused=True)
    rewards = torch.rand(count, group, generator=torch.Generator().manual_seed(1)) < 0.3
    advantages = minirl.grpo(rewards.float()).to(device)
    ours = {}  # seconds
    rollout = None

    with section("sampling", arguments, 90) as go:
        if go:
            bound = decode_bound(policy.sampler, lengths, group, tokens, bandwidth)
            ours["sampling"], rollout = sampling(policy, problems, group, tokens, bound)

    parameters = sum(parameter.numel() for parameter in model.parameters())
    operations = 6 * parameters * (sampled + sum(lengths))
    with section("update", arguments, 60) as go:
        if go and rollout is not None:
            for _ in range(2):
                peak(device, reset=True)
                started = clock(device)
                stats = minirl.update(policy, optimizer, rollout, advantages, config)
                ours["update"] = seconds = clock(device) - started
            say(
                f"update, {config.micro_batch_tokens} tokens at once",
                f"{seconds:.2f} s, {sampled / seconds:.0f} tokens/s; {100 * operations / rate / seconds:.0f} % of "
                f"the matrix rate ({operations / 1e12:.0f} T operations); peak {peak(device):.1f} GB; "
                f"sampler to trainer {stats['logprob_gap']:.1e} nats",
            )

    with section("24 GB", arguments, 60) as go:
        if go:
            rollout = None
            length, number = (64, 8) if arguments.tiny else (512, 128)
            problems_ = problems[: number // group]
            rollout = minirl.sample(policy, problems_, group, max_new_tokens=length, seed=2)
            peak(device, reset=True)
            if device != "cpu":
                total = torch.cuda.get_device_properties(0).total_memory
                torch.cuda.set_per_process_memory_fraction(min(1.0, 24e9 / total))
            try:
                whole = minirl.Config(max_new_tokens=length, lr=1e-6, micro_batch_tokens=2048)
                stats = minirl.update(policy, optimizer, rollout, advantages[: number // group], whole)
            finally:
                if device != "cpu":
                    torch.cuda.set_per_process_memory_fraction(1.0)
            logits = number * length * shape["vocab_size"] * 4 / 1e9
            say(
                f"update of {number} x {length} tokens, 2048 at once, memory limited to 24 GB",
                f"peak {peak(device):.1f} GB (all logits would be {logits:.0f}), gradient {stats['grad_norm']:.2e}",
            )

    with section("transformers.generate", arguments, 90) as go:
        if go:
            ids, mask = policy.pad([policy.prompt_ids(problem) for problem in problems], side="left")
            ids, mask = ids.repeat_interleave(group, 0), mask.repeat_interleave(group, 0)
            policy.sampler.set_attn_implementation("sdpa")
            options = {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0, "pad_token_id": 0}
            options |= {"max_new_tokens": tokens, "min_new_tokens": tokens, "eos_token_id": None}
            with torch.no_grad():
                short = {"max_new_tokens": 4, "min_new_tokens": 4}
                policy.sampler.generate(ids, attention_mask=mask, **options | short)
                started = clock(device)
                output = policy.sampler.generate(ids, attention_mask=mask, **options)
                seconds = clock(device) - started
            assert output.shape[1] == ids.shape[1] + tokens
            say(
                f"transformers.generate, {count} x {group} x {tokens}, bfloat16",
                f"{seconds:.2f} s, {sampled / seconds:.0f} tokens/s; minirl samples {seconds / ours['sampling']:.1f} "
                "times as many a second",
            )

    with section("TRL", arguments, 120) as go:
        if go and importlib.util.find_spec("trl") is None:
            say("TRL's GRPOTrainer", "not measured: TRL is not installed here")
        elif go:
            del policy, optimizer
            peak(device, reset=True)
            trl_step(arguments, model, tokenizer, problems, group, tokens, sum(ours.values()))

    with section("toy on CPU and GPU", arguments, 90) as go:
        if go:
            toy_agreement(arguments)

    table = "\n".join(["| what | measured |", "|---|---|", *rows]) + "\n"
    print(table)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(table)
    if any("FAILED" in row or "failed" in row for row in rows):
        sys.exit(1)


def trl_step(arguments, model, tokenizer, problems, group, tokens, ours) -> None:
    """Three steps of TRL's trainer on the same prompts and shapes; the last one counts."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            ends.append(clock(arguments.device))

    def reward(completions, **_):
        return torch.rand(len(completions)).round().tolist()

    model.generation_config.eos_token_id = None
    with tempfile.TemporaryDirectory() as scratch:
        settings = {"num_generations": group, "max_completion_length": tokens, "max_steps": 3, "beta": 0.0, "top_k": 0}
        settings |= {"per_device_train_batch_size": 64 if not arguments.tiny else 8, "learning_rate": 1e-6}
        settings |= {"gradient_accumulation_steps": max(1, len(problems) * group // 64), "report_to": []}
        settings |= {"bf16": True, "use_cpu": arguments.device == "cpu", "save_strategy": "no", "disable_tqdm": True}
        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=reward,
            train_dataset=Dataset.from_list([{"prompt": problem.prompt} for problem in problems * 3]),
            callbacks=[Clock()],
            args=GRPOConfig(output_dir=scratch, **settings),
        )
        trainer.train()
    say(
        f"TRL's GRPOTrainer, a step of {len(problems)} x {group} x {tokens}",
        f"{ends[-1] - ends[-2]:.2f} s; peak {peak(arguments.device):.1f} GB; minirl's (sampling, update): {ours:.2f} s",
    )


if __name__ == "__main__":
    main()
