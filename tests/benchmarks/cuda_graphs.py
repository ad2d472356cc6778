"""minirl, whose decoder replays CUDA graphs: the same samples, several times as fast where a GPU waits for its CPU.

    python tests/benchmarks/cuda_graphs.py train --model MODEL ...   # as `minirl train --model MODEL ...`

It is a decoder to measure, not part of minirl.py: bench_gpu.py runs both. On a CPU, or for a model whose attention sees
a window only, minirl's own decoder does the work.
"""

import sys
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

import minirl


class GraphDecoder(minirl.Decoder):
    """A token takes hundreds of small kernels, and launching them takes several times as long as running them. So they
    are captured as a graph, and replayed. A graph knows addresses and sizes: keys and values have places in buffers
    made once, [most rows, heads, most tokens, dim], for each layer two, and there is a graph for every pair of sizes
    that was met, rows and places that are attended to, both rounded up; what is too many is masked."""

    UNIT = 128  # to which places are rounded

    def __init__(self, model: Any, rows: int, tokens: int):
        self.model, self.rows, self.tokens = model, rows, -(-tokens // self.UNIT) * self.UNIT
        self.ids, self.positions = torch.zeros(2, rows, 1, dtype=torch.long, device=model.device)
        self.visible = torch.zeros(rows, 1, 1, self.tokens, dtype=torch.bool, device=model.device)  # the mask
        self.place = torch.zeros(1, dtype=torch.long, device=model.device)  # of the new token's keys and values
        self.graphs: dict[tuple[int, int], tuple[Any, torch.Tensor]] = {}  # by rows and places; and their logits
        self.buffers: Any = None

    def start(self, prompt_ids: torch.Tensor, prompt_mask: torch.Tensor, group_size: int) -> torch.Tensor:
        logits = super().start(prompt_ids, prompt_mask, group_size)
        self.buffers = self.buffers or self.make_buffers()
        rows, self.written = prompt_ids.shape
        for fixed, layer in zip(self.buffers.layers, self.cache.layers, strict=True):
            fixed.keys[:rows, :, : self.written], fixed.values[:rows, :, : self.written] = layer.keys, layer.values
        self.cache = None
        self.visible.fill_(False)
        self.visible[:rows, 0, 0, : self.written] = prompt_mask
        self.positions[:rows] = prompt_mask.sum(-1, keepdim=True) - 1
        return logits

    def make_buffers(self) -> Any:
        class FixedLayer(DynamicLayer):
            def update(layer, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> Any:
                for buffer, new in ((layer.keys, keys), (layer.values, values)):
                    buffer[: len(new)].index_copy_(2, self.place, new)
                return tuple(x[: len(keys), :, : self.length] for x in (layer.keys, layer.values))

        layers = [FixedLayer() for _ in self.cache.layers]
        for fixed, like in zip(layers, self.cache.layers, strict=True):
            sizes = [(self.rows, x.shape[1], self.tokens, x.shape[3]) for x in (like.keys, like.values)]
            (fixed.keys, fixed.values), fixed.is_initialized = map(like.keys.new_zeros, sizes), True
        return Cache(layers=layers)

    def step(self, tokens: torch.Tensor, goes_on: torch.Tensor) -> torch.Tensor:
        row_of = self.row_of[goes_on]
        width = int(tokens.max()) + 1
        branches, self.row_of = torch.unique(row_of * width + tokens, return_inverse=True)  # pairs of row and token
        parents, rows = branches // width, len(branches)
        if not parents.equal(torch.arange(rows, device=parents.device)):  # rows part or end
            states = [x[:, :, : self.written] for layer in self.buffers.layers for x in (layer.keys, layer.values)]
            for state in (*states, self.visible, self.positions):
                state[:rows] = state[parents]
        self.ids[:rows, 0] = branches % width
        self.positions[:rows] += 1
        self.visible[:, :, :, self.written] = True  # of rows that only round up, too: attention to nothing is NaN
        self.place.fill_(self.written)
        self.written += 1
        unit = max(1, 2 ** (rows.bit_length() - 2))
        self.length = -(-self.written // self.UNIT) * self.UNIT
        return self.replay(min(self.rows, -(-rows // unit) * unit))[self.row_of]

    def replay(self, rows: int) -> torch.Tensor:
        """Logits [rows, V] after the newest token of so many rows."""
        size = rows, self.length
        if size not in self.graphs:
            self.next_logits(rows)  # what libraries prepare at their first call must not be met while capturing
            torch.cuda.synchronize()
            graph, pool = torch.cuda.CUDAGraph(), next((graph.pool() for graph, _ in self.graphs.values()), None)
            with torch.cuda.graph(graph, pool):
                self.graphs[size] = graph, self.next_logits(rows)
        graph, logits = self.graphs[size]
        graph.replay()
        return logits

    def next_logits(self, rows: int) -> torch.Tensor:
        mask = self.visible[:rows, :, :, : self.length]  # four dimensions: models take it as it is
        inputs = {"attention_mask": mask, "position_ids": self.positions[:rows]}
        inputs[minirl.cache_name(type(self.model))] = self.buffers
        return self.model(self.ids[:rows], use_cache=True, logits_to_keep=1, **inputs).logits[:, -1]


class Graphs:
    """Stands in for minirl.Decoder while a batch is sampled. Decoders are kept: capturing graphs takes seconds."""

    def __init__(self):
        self.plain, self.sample, self.decoder = minirl.Decoder, minirl.sample, None
        self.size = 0, 0

    def __enter__(self) -> "Graphs":
        minirl.Decoder, minirl.sample = self.decoder_for, self.sized_sample
        return self

    def __exit__(self, *_: Any) -> None:
        minirl.Decoder, minirl.sample = self.plain, self.sample

    def sized_sample(self, policy, problems, group_size, *, max_new_tokens: int = 32, **settings: Any):
        prompts = minirl.fitting_prompts(policy, problems, max_new_tokens)
        self.size = len(problems) * group_size, max(map(len, prompts)) + max_new_tokens
        return self.sample(policy, problems, group_size, max_new_tokens=max_new_tokens, **settings)

    def decoder_for(self, model: Any) -> minirl.Decoder:
        rows, tokens = self.size
        window = getattr(model.config.get_text_config(), "sliding_window", None) or tokens
        if model.device.type != "cuda" or model.config._attn_implementation != "sdpa" or tokens > window or not rows:
            return self.plain(model)
        old = self.decoder
        if not old or old.model is not model or old.rows < rows or old.tokens < tokens:
            self.decoder = None  # its memory is free before that of the new one is taken
            self.decoder = GraphDecoder(model, rows, tokens)
        return self.decoder


if __name__ == "__main__":
    with Graphs():
        sys.exit(minirl.main())
