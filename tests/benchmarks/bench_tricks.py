"""What each speed trick buys: one training step with all of them, and with each one switched off.

    python tests/benchmarks/bench_tricks.py                       the toy's default job, 100 steps a run
    python tests/benchmarks/bench_tricks.py --model FOLDER        a pretrained model on the toy's problems, 3 steps a run

A trick is switched off by changing lines of a copy of minirl.py. Every run is a process of its own, and they take turns;
the table has the median over rounds of the ratio to the same round's run with all tricks, of the mean step and of the
peak memory. Losses of the first step must agree, or what was switched off was no mere trick.
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

# name: (where it applies, [(lines, what stands there instead)])
TRICKS = {
    "samples that wrote the same so far share a row": (
        "toy model",
        [("if look_every == 1:  # samples", "if False:  # samples")],
    ),
    "... and rows that ended make room": (
        "toy model",
        [
            ("if look_every == 1:  # samples", "told = torch.zeros_like(samples, dtype=torch.bool)\n    if False:  #"),
            (
                "over = samples if is_last else samples[ended]",
                "over = samples[~told] if is_last else samples[ended & ~told]",
            ),
            (
                "            if len(over) == len(samples):\n                break\n",
                "            told = ended.clone()\n            if ended.all() or is_last:\n                break\n            may_be_over = torch.zeros_like(ended)\n",
            ),
            (
                "            samples, row_of, tokens = samples[~ended], row_of[~ended], tokens[~ended]\n            ended = may_be_over = torch.zeros_like(samples, dtype=torch.bool)\n            row_of, tokens = decoder.branch(row_of, tokens)\n            row_of, order = row_of.sort()\n            samples = samples[order]\n",
                "",
            ),
        ],
    ),
    "identical samples are run once in the update": (
        "toy model",
        [("times = multiplicities(rollout, advantages)", "times = torch.ones_like(advantages, dtype=torch.long)")],
    ),
    "a group's prompt is run once in the update": (
        "toy model",
        [("shares_prompts: bool = True", "shares_prompts: bool = False")],
    ),
    "samples with advantage 0 are not run": (
        "toy model",
        [("live = (times > 0) if reference else (times > 0) & (advantages != 0)", "live = times > 0")],
    ),
    "programs are graded while others are written": (
        "toy model",
        [
            ("            places=places,\n            sandbox=sandbox,\n", "            places=places,\n"),
            ("< SMALL_MODEL:", "< 0:"),
        ],
    ),
    "identical programs are graded once": (
        "toy",
        [
            ("if sandbox and (p, texts[row]) not in results:", "if sandbox:"),
            ("results[p, texts[row]] = sandbox.submit", "results[p, texts[row]] = twins[p, row] = sandbox.submit"),
            ("texts, results, verbatim = ", "twins = {}\n    texts, results, verbatim = "),
            (
                "        results,\n        verbatim=verbatim,",
                "        results | {(p, f'twin {row}'): f for (p, row), f in twins.items()},\n        verbatim=verbatim,",
            ),
            (
                "    rollout.verdicts = [\n",
                "    [future.result() for future in rollout.results.values()]\n    rollout.verdicts = [\n",
            ),
        ],
    ),
    "keys and values are written in place": (
        "toy model",
        [
            (
                "            buffer[:rows].index_copy_(2, self.decoder.place, new)\n        return self.buffers[0][:rows, :, :length], self.buffers[1][:rows, :, :length]",
                "            pass\n        self.buffers = [torch.cat(pair, 2) for pair in zip(self.buffers, (keys, values), strict=True)]\n        return tuple(self.buffers)",
            ),
            (
                "            for buffer, states in zip(layer.buffers, (prompts.keys, prompts.values), strict=True):\n                buffer[:rows, :, : self.written] = states[prompt_of]",
                "            layer.buffers = [states[prompt_of] for states in (prompts.keys, prompts.values)]",
            ),
            (
                "            for layer in self.cache.layers:\n                for buffer in layer.buffers:\n                    written = buffer[:, :, : self.written]\n                    written.index_copy_(0, new, written.index_select(0, moved))\n",
                "",
            ),
            (
                "        return places[branch_of], torch.empty_like",
                "        source = torch.empty_like(parents).index_copy_(0, places, parents)\n        for layer in self.cache.layers:\n            layer.buffers = [buffer[source] for buffer in layer.buffers]\n        return places[branch_of], torch.empty_like",
            ),
        ],
    ),
    "the decoder's buffers are kept from batch to batch": (
        "toy model",
        [("    old = policy.decoder\n", "    old = None\n")],
    ),
    "AdamW is fused": (
        "toy model",
        [("weight_decay=config.weight_decay, fused=True", "weight_decay=config.weight_decay")],
    ),
    "query heads that share a key head are one batch": (
        "model",
        [('if model.config._attn_implementation == "sdpa":', "if False:")],
    ),
    "logits are made in chunks, and again in the backward pass": (
        "model",
        [("LOGITS_AT_ONCE = 2**26", "LOGITS_AT_ONCE = 2**60")],
    ),
    "only a token that can end an answer makes us look for its end": (
        "model",
        [("may_be_over | (policy.may_end_answer[tokens] & ~ended)", "may_be_over | ~ended")],
    ),
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
            settings |= {
                "model": arguments.model,
                "levels": [1, 2],
                "temperature": 0.6,
                "max_new_tokens": 64,
                "lr": 2e-5,
            }
            settings |= {"problems_per_step": 8, "steps": arguments.steps or 3}
        else:
            import minirl

            base = Path(scratch, "base")
            policy = minirl.load_policy("toy")
            policy.model.save_pretrained(base)
            policy.tokenizer.save_pretrained(base)
            settings |= {"model": str(base), "lr": 5e-4, "max_new_tokens": 32, "prompt_style": "verbatim"}
            settings |= {"steps": arguments.steps or 100}
        kind = "model" if arguments.model else "toy"
        arms = {"all tricks": []} | {
            name: patches for name, (where, patches) in TRICKS.items() if kind in where.split()
        }
        results: dict[str, list[dict]] = {name: [] for name in arms}
        for round_ in range(arguments.rounds):
            order = random.Random(round_).sample(list(arms.items()), len(arms))  # the machine drifts
            for name, patches in order:
                started = time.perf_counter()
                results[name].append(run(patches, settings, Path(scratch)))
                row = results[name][-1]
                parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in row["parts"].items())
                print(
                    f"round {round_ + 1}  {name}: {row['step']:.3f} s ({parts}), {row['peak_mb']:.0f} MB, loss {row['loss']:.3e}, "
                    f"gradient {row['grad_norm']:.5f}; {time.perf_counter() - started:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
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
