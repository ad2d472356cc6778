"""The memory that a training run will need on a GPU, computed from the shape of its model; nothing is downloaded.

    python tests/benchmarks/expected_memory.py [--shape 0.5B|1.5B|135M] [--rows 128] [--prompt-tokens 256]
        [--max-new-tokens 512] [--micro-batch-tokens 2048]

Weights, gradients and Adam's two averages are float32; the sampler's copy and its keys and values bfloat16, as
`minirl train --device cuda` has them. What one layer keeps for the backward pass is measured: a layer of that shape
is run here, on the CPU, under the same autocast. Not counted: CUDA itself (about 0.5 GB), and what its allocator
cannot use.
"""

import argparse

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SHAPES = {  # of the published configurations of Qwen2.5-Coder and SmolLM2
    "135M": ("llama", 49152, 576, 1536, 30, 9, 3),
    "0.5B": ("qwen2", 151936, 896, 4864, 24, 14, 2),
    "1.5B": ("qwen2", 151936, 1536, 8960, 28, 12, 2),
}
NAMES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
GB = 1e9


def config_of(shape: str, **changes: int) -> AutoConfig:
    kind, *sizes = SHAPES[shape]
    settings = dict(zip((*NAMES, "num_key_value_heads"), sizes, strict=True)) | {"tie_word_embeddings": True}
    return AutoConfig.for_model(kind, **settings | changes)


def kept(shape: str, layers: int, tokens: int) -> int:
    """Bytes that the forward pass of some layers keeps for the backward pass, under autocast."""
    config = config_of(shape, num_hidden_layers=layers, vocab_size=64)
    model, sizes = AutoModelForCausalLM.from_config(config, dtype=torch.float32), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        model.base_model(torch.zeros(1, tokens, dtype=torch.long), use_cache=False)
    return sum(sizes.values())


def kept_by_a_layer(shape: str) -> float:
    """Bytes per token of one layer. (Weights are kept too, but their number does not grow with the tokens.)"""
    one, two = ((kept(shape, layers, 512) - kept(shape, layers, 256)) / 256 for layers in (1, 2))
    return two - one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="0.5B", choices=SHAPES)
    parser.add_argument("--rows", type=int, default=128, help="samples drawn at once: problems times group size")
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--max-new-tokens", type=int, default=512)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    given = parser.parse_args()
    config = config_of(given.shape)
    with torch.device("meta"):
        parameters = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    head = config.hidden_size // config.num_attention_heads
    keys = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * head  # bytes a token
    layer = kept_by_a_layer(given.shape)
    share = given.max_new_tokens / (given.prompt_tokens + given.max_new_tokens)  # of the tokens, that have logits
    parts = {
        "weights, gradients, Adam (float32)": 16 * parameters,
        "the sampler's copy (bfloat16)": 2 * parameters,
        "autocast's copy while updating": 2 * parameters,
        "keys and values of the samples": keys * given.rows * (given.prompt_tokens + given.max_new_tokens),
        "distributions while sampling": 5 * 4 * given.rows * config.vocab_size,
        "activations of the update": given.micro_batch_tokens * config.num_hidden_layers * layer,
        "logits of the update": 14 * given.micro_batch_tokens * share * config.vocab_size,  # and their gradients
    }
    print(f"{given.shape}: {parameters / 1e6:.0f} M parameters; a layer keeps {layer / 1e3:.0f} kB a token\n")
    for name, size in parts.items():
        print(f"{name:36}{size / GB:6.1f} GB")
    print(f"{'all':36}{sum(parts.values()) / GB:6.1f} GB")


if __name__ == "__main__":
    main()
