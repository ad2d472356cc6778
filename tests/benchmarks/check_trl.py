"""One batch, two programs: TRL's own trainers against minirl.update, on the advantages, the loss and the gradient.

    pip install -e '.[bench]'
    python tests/benchmarks/check_trl.py

TRL's GRPOTrainer (for RLOO: its RLOOTrainer) samples a batch from the toy's base model, gets rewards from a random
table (no sandbox) with three dead groups, and does one training step. What it sampled, its advantages, its loss and the
gradient that its backward pass leaves, before any clipping by norm, are recorded. Then minirl gets the same weights,
tokens and rewards. Exit code 1 if they disagree by more than is known to be different:

  - TRL divides by std + 1e-4, minirl by std: its advantages are A std / (std + 1e-4). And in a dead group TRL divides
    the rounding error of the mean by 1e-4, where minirl's advantages are 0. So every loss is compared twice: each
    program with its own advantages, and both with TRL's, which leaves only float32 rounding.
  - RLOOTrainer sums over the tokens of a sample, minirl divides by max_new_tokens: a constant factor, which Adam does
    not see (max_grad_norm does). Its ratio is that of a sample, not of a token, so the two are the same on-policy only,
    and its loss, - mean A there, is no number to compare.

All is on-policy, so every ratio is 1 and no clip acts: tests/test_math.py compares those, with TRL's formulas.
"""

import random
import sys
import tempfile
import warnings

import torch
import trl
from datasets import Dataset
from transformers import PrinterCallback
from transformers.utils import logging

import minirl

# A name: settings of minirl; TRL's trainer and its settings.
CASES = {
    "grpo": ({"algorithm": "grpo"}, "GRPO", {"loss_type": "grpo", "scale_rewards": "group"}),
    "token mean (bnpo)": ({"normalisation": "token"}, "GRPO", {"loss_type": "bnpo", "scale_rewards": "group"}),
    "token mean (dapo)": ({"normalisation": "token"}, "GRPO", {"loss_type": "dapo", "scale_rewards": "group"}),
    "dr_grpo": ({"algorithm": "dr_grpo"}, "GRPO", {"loss_type": "dr_grpo", "scale_rewards": "none"}),
    "rloo": ({"algorithm": "rloo"}, "RLOO", {}),
}
CONFIG = minirl.Config(temperature=0.8, max_grad_norm=float("inf"))
DEAD = (0.0, 0.7, 1.0)  # the reward of all samples of the first problems


def recorded_step(trainer_name: str, settings: dict, problems: list[minirl.Problem]) -> dict:
    """One step of TRL's trainer: its inputs to the loss, with what came of them."""
    policy = minirl.load_policy("toy")
    record = {}

    def reward(completions, place, **_):
        texts = zip(place, completions, strict=True)
        record["rewards"] = [DEAD[p] if p < len(DEAD) else random.Random(f"{p} {text}").random() for p, text in texts]
        return record["rewards"]

    class Recorder(getattr(trl, f"{trainer_name}Trainer")):
        def _generate_and_score_completions(self, inputs):
            batch = super()._generate_and_score_completions(inputs)
            record.update(batch)
            return batch

        def training_step(self, model, *inputs):
            loss = super().training_step(model, *inputs)
            record["loss"], record["gradient"] = loss.item(), gradient_of(policy)
            return loss

    with tempfile.TemporaryDirectory() as scratch:
        arguments = getattr(trl, f"{trainer_name}Config")(
            output_dir=scratch,
            per_device_train_batch_size=len(problems) * CONFIG.group_size,
            num_generations=CONFIG.group_size,
            steps_per_generation=1,
            num_iterations=1,
            max_steps=1,
            max_completion_length=CONFIG.max_new_tokens,
            temperature=CONFIG.temperature,
            top_k=0,
            top_p=1.0,
            beta=0.0,
            learning_rate=0.0,
            seed=0,
            shuffle_dataset=False,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_dropout=True,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **settings,
        )
        data = Dataset.from_list([{"prompt": problem.prompt, "place": i} for i, problem in enumerate(problems)])
        trainer = Recorder(policy.model, reward, arguments, data, processing_class=policy.tokenizer)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return record


def gradient_of(policy: minirl.Policy) -> torch.Tensor:
    """All of it, as one vector."""
    return torch.cat([parameter.grad.flatten().double() for parameter in policy.model.parameters()])


def minirl_step(record: dict, advantages: torch.Tensor, config: minirl.Config) -> tuple[float, torch.Tensor]:
    """Loss and gradient of minirl.update on the tokens that TRL sampled."""
    policy, size = minirl.load_policy("toy"), config.group_size
    prompts = record["prompt_ids"][::size], record["prompt_mask"][::size].bool()
    ids, mask = (record[name].unflatten(0, (-1, size)) for name in ("completion_ids", "completion_mask"))
    unused = torch.zeros(ids.shape)
    rollout = minirl.Rollout(*prompts, ids, mask.bool(), unused, unused, [], config.temperature)
    stats = minirl.update(policy, torch.optim.SGD(policy.model.parameters(), lr=0.0), rollout, advantages, config)
    return stats["loss"], gradient_of(policy)


def main() -> int:
    warnings.simplefilter("ignore", FutureWarning)
    logging.disable_progress_bar()
    problems = minirl.problems_of_step(minirl.training_problems(CONFIG)[0], CONFIG, 1)
    print(f"TRL {trl.__version__}, {len(problems)} groups of {CONFIG.group_size}, {len(DEAD)} of them dead\n")
    print("| loss | advantages | max difference | loss, TRL | loss, minirl | gradients: 1 - cosine | minirl / TRL |")
    print("|---|---|---|---|---|---|---|")
    agree, noise = True, 0.0
    for name, (settings, trainer, trl_settings) in CASES.items():
        config = minirl.Config(**vars(CONFIG) | settings)
        record = recorded_step(trainer, trl_settings, problems)
        rewards = torch.tensor(record["rewards"]).unflatten(0, (-1, config.group_size))
        theirs, ours = record["advantages"].unflatten(0, rewards.shape), minirl.ADVANTAGES[config.algorithm](rewards)
        dead, scaled = minirl.is_dead(rewards).squeeze(-1), trl_settings.get("scale_rewards") == "group"
        excess = 1e-4 / rewards[~dead].std(-1, keepdim=True) * scaled  # minirl's advantage is 1 + excess times TRL's
        known = excess.max().item() if scaled else 0.0
        noise = max(noise, theirs[dead].abs().max().item())
        agree &= torch.allclose(ours[~dead], theirs[~dead] * (1 + excess), atol=1e-5) and noise < 1e-3
        for whose, advantages, slack in (("each its own", ours, known), ("both TRL's", theirs, 0.0)):
            loss, gradient = minirl_step(record, advantages, config)
            cosine = torch.cosine_similarity(gradient, record["gradient"], dim=0).item()
            ratio = (gradient.norm() / record["gradient"].norm()).item()
            factor = 1 / config.max_new_tokens if trainer == "RLOO" else 1.0
            agree &= 1 - cosine < 1e-9 + slack**2 and abs(ratio / factor - 1) < 1e-5 + slack
            agree &= trainer == "RLOO" or abs(loss - record["loss"]) < 1e-6 + slack
            difference = (advantages - theirs).abs().max()
            losses = f"{record['loss']:+.7f} | {loss:+.7f}" if trainer != "RLOO" else "|"
            print(f"| {name} | {whose} | {difference:.1e} | {losses} | {1 - cosine:.1e} | {ratio:.7f} |")
    print(f"\nTRL's largest advantage in a dead group: {noise:.1e}")
    print("They agree." if agree else "They DISAGREE.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
