"""What each speed trick buys: one training step with all of them, and with each one switched off.

    python tests/benchmarks/bench_tricks.py                   the toy's default job, 100 steps a run
    python tests/benchmarks/bench_tricks.py --model FOLDER    a pretrained model on the toy's problems, 3 steps a run

A trick is switched off by changing lines of a copy of minirl.py. Every run is a process of its own, and they take turns
in a random order; the table has the median over rounds of the ratio to the same round's run with all tricks, of the
mean step and of the peak memory. Losses of the first step must agree, or what was switched off was no mere trick.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

# name: the lines that make the trick, and what stands there instead
TRICKS = {
    "samples that wrote the same so far share a row": [
        (
            "branches, self.row_of = torch.unique(row_of * width + tokens, return_inverse=True)",
            "branches, self.row_of = row_of * width + tokens, torch.arange(len(tokens), device=tokens.device)",
        )
    ],
    "identical samples are run once in the update": [
        ("times = multiplicities(rollout, advantages)", "times = torch.ones_like(advantages, dtype=torch.long)")
    ],
    "a group's prompt is run once in the update": [
        (
            "    mask = torch.cat([prompt_mask if prompt_of is None",
            "    if prompt_of is not None:\n"
            "        prompt_ids, prompt_mask, prompt_of = prompt_ids[prompt_of], prompt_mask[prompt_of], None\n"
            "    mask = torch.cat([prompt_mask if prompt_of is None",
        )
    ],
    "samples with advantage 0 are not run": [
        ("live = (times > 0) & ((advantages != 0) | (reference is not None))", "live = times > 0")
    ],
    "identical programs are graded once": [
        ("for result in sandbox.map(programs)]", "for result in [f.result() for f in map(sandbox.submit, programs)]]")
    ],
}

RUN = """
import json, sys, time
from pathlib import Path
import minirl
settings = json.loads(sys.argv[1])
ends, append = [], minirl.append_jsonl
minirl.append_jsonl = lambda *given: (append(*given), ends.append(time.perf_counter()))
folder = minirl.train(minirl.Config(**settings))
rows = [row for row in minirl.read_jsonl(folder / "metrics.jsonl") if "seconds" in row]
skipped = 4 if len(rows) > 10 else 1
steps = [sum(row["seconds"].values()) for row in rows[skipped:]]
parts = {name: sum(row["seconds"][name] for row in rows[skipped:]) / len(steps) for name in rows[0]["seconds"]}
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
tokens = sum(row["tokens"] for row in rows[skipped:]) / len(steps)
print(json.dumps({"step": sum(steps) / len(steps), "parts": parts, "peak_mb": peak, "tokens": tokens,
                  "loss": rows[0]["loss"], "grad_norm": rows[0]["grad_norm"]}))
"""


def run(patches: list[tuple[str, str]], settings: dict, scratch: Path) -> dict:
    source = (ROOT / "minirl.py").read_text(encoding="utf-8")
    for old, new in patches:
        assert source.count(old) == 1, f"{source.count(old)} places hold {old!r}"
        source = source.replace(old, new)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    (folder / "minirl.py").write_text(source, encoding="utf-8")
    (folder / "sandbox.py").write_bytes((ROOT / "sandbox.py").read_bytes())
    environment = os.environ | {"PYTHONPATH": str(folder), "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", RUN, json.dumps(settings | {"out": str(folder / "run")})]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a pretrained model; default: the toy")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, help="file for every run's numbers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        settings = {"eval_every": 0, "eval_size": 1, "eval_samples": 1, "save_every": 10**6}
        if arguments.model:
            settings |= {"model": arguments.model, "levels": [1, 2], "temperature": 0.6, "max_new_tokens": 64}
            settings |= {"lr": 2e-5, "problems_per_step": 8, "steps": arguments.steps or 3}
        else:
            import minirl

            base = Path(scratch, "base")
            policy = minirl.load_policy("toy")
            policy.model.save_pretrained(base)
            policy.tokenizer.save_pretrained(base)
            settings |= {"model": str(base), "lr": 5e-4, "max_new_tokens": 32, "prompt_style": "verbatim"}
            settings |= {"steps": arguments.steps or 100}
        arms = {"all tricks": []} | TRICKS
        results: dict[str, list[dict]] = {name: [] for name in arms}
        for round_ in range(arguments.rounds):
            order = random.Random(round_).sample(list(arms.items()), len(arms))  # the machine drifts
            for name, patches in order:
                started = time.perf_counter()
                results[name].append(run(patches, settings, Path(scratch)))
                row = results[name][-1]
                parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in row["parts"].items())
                same = f"loss {row['loss']:.3e}, gradient {row['grad_norm']:.5f}"
                took = time.perf_counter() - started
                line = f"{name}: {row['step']:.3f} s ({parts}), {row['peak_mb']:.0f} MB, {same}; {took:.0f} s"
                print(f"round {round_ + 1}  {line}", file=sys.stderr, flush=True)
                if arguments.out:
                    arguments.out.write_text(json.dumps(results))
    print("| switched off | a step, times | peak memory, times |\n|---|---|---|")
    for name, rows in results.items():
        pairs = list(zip(rows, results["all tricks"], strict=True))
        cells = [[row[key] / base[key] for row, base in pairs] for key in ("step", "peak_mb")]
        print(
            f"| {name} | "
            + " | ".join(f"{statistics.median(c):.2f} ({min(c):.2f} to {max(c):.2f})" for c in cells)
            + " |"
        )


if __name__ == "__main__":
    main()
