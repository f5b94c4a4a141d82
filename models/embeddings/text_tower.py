"""A frozen open_clip text tower that reads prompts whose first words are learned vectors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from headgraft.models.errors import InjectionError

CONTEXT, CONTEXT_SIZE = "a photo of a", 4
POOLED_AT_END = ("argmax", "eos")
USUAL_LENGTH = 12  # tokens of a prompt
BATCH_SIZE = 64  # prompts whose activations are kept at once


def reads_prompts(network: Any, tokenizer: Any) -> bool:
    """Tell whether a model has one of open_clip's own text towers and its byte-pair tokenizer."""
    tower = getattr(network, "text", network)
    return hasattr(tower, "token_embedding") and hasattr(tokenizer, "eot_token_id")


class TextTower:
    """Encodes [SOS, four context vectors, name, ".", EOS] by the model's own weights, frozen.

    `network` is an open_clip model with its `tokenizer`. Width w, features of D numbers; `scale`
    is what the model multiplies cosines with. InjectionError for a tower that reads no BPE.
    """

    def __init__(self, network: Any, tokenizer: Any) -> None:
        tower = getattr(network, "text", network)
        if not reads_prompts(network, tokenizer):
            raise InjectionError(
                f"prompts cannot be tuned on a text tower of kind {type(tower).__name__} with a "
                f"tokenizer of kind {type(tokenizer).__name__}: legal are open_clip's own towers "
                "with its byte-pair tokenizer",
                pointer="/class_embeddings/encoder",
            )
        network.requires_grad_(False)
        self._network, self._tower, self._tokenizer = network, tower, tokenizer
        self._table: nn.Embedding = tower.token_embedding
        pooling = getattr(tower, "pool_type", None) or getattr(tower, "text_pool_type", "argmax")
        # Tokens beyond the end reach it neither by attention nor by pooling: they can be left out.
        self._may_cut = (
            tower.attn_mask is not None
            and getattr(tower, "cls_emb", None) is None
            and pooling in POOLED_AT_END
        )
        self.width: int = self._table.embedding_dim
        self.scale = float(network.logit_scale.exp().flatten()[0])

    @property
    def feature_size(self) -> int:
        """D."""
        projection = self._tower.text_projection
        if projection is None:
            return self.width
        return int(getattr(projection, "out_features", 0) or projection.shape[1])

    @property
    def multiply_adds(self) -> int:
        """Those of reading one prompt of usual length, about."""
        weights = sum(int(part.numel()) for part in self._tower.transformer.parameters())
        return weights * (USUAL_LENGTH if self._may_cut else int(self._tower.context_length))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._table.weight.device

    def context(self) -> Tensor:
        """Return the context (4, w) that reads "a photo of a": float32, a copy."""
        tokens_4 = self._tokenizer.encode(CONTEXT)
        assert len(tokens_4) == CONTEXT_SIZE, tokens_4
        words_4W: Tensor = self._table(torch.tensor(tokens_4, device=self.device))
        return words_4W.float().clone()

    def prompts(self, class_names: Sequence[str]) -> Tensor:
        """Tokenise one prompt a class, (C, L) int64; the context's places hold "a photo of a"."""
        texts = [f"{CONTEXT} {name.replace('_', ' ')}." for name in class_names]
        tokens_CL: Tensor = self._tokenizer(texts).to(self.device)
        return tokens_CL

    def encode(self, prompts_BL: Tensor, context: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
        """Encode prompts with a context (4, w) of all or (B, 4, w) of each: unit (B, D), float32.

        Gradients reach the context alone. Beyond `batch_size` prompts they are computed by
        encoding a second time, so that memory stays bounded.
        """
        context_B4W = context.expand(len(prompts_BL), CONTEXT_SIZE, self.width)
        ends_B = (prompts_BL == self._tokenizer.eot_token_id).int().argmax(dim=1)
        order_B = ends_B.argsort(stable=True)
        batches = order_B.split(batch_size)
        again = torch.is_grad_enabled() and context.requires_grad and len(batches) > 1
        parts = []
        for batch in batches:
            inputs = (prompts_BL[batch], ends_B[batch], context_B4W[batch])
            parts.append(
                checkpoint(self._read, *inputs, use_reentrant=False, preserve_rng_state=False)
                if again
                else self._read(*inputs)
            )
        return torch.cat(parts)[order_B.argsort()]

    def _read(self, prompts_BL: Tensor, ends_B: Tensor, context_B4W: Tensor) -> Tensor:
        def spliced(_table: nn.Module, _inputs: object, words_BLW: Tensor) -> Tensor:
            after = words_BLW[:, 1 + CONTEXT_SIZE :]
            return torch.cat([words_BLW[:, :1], context_B4W.to(words_BLW.dtype), after], dim=1)

        if self._may_cut:
            length = int(ends_B.max()) + 1
            words_BLW = spliced(self._table, None, self._table(prompts_BL[:, :length]))
            return normalize(self._pooled(words_BLW, ends_B).float())
        # Such a tower pads, masks and pools by itself: only its word vectors are replaced.
        hook = self._table.register_forward_hook(spliced)
        try:
            return normalize(self._network.encode_text(prompts_BL).float())
        finally:
            hook.remove()

    def _pooled(self, words_BLW: Tensor, ends_B: Tensor) -> Tensor:
        tower, length = self._tower, words_BLW.shape[1]
        hidden_BLW = words_BLW + tower.positional_embedding[:length].to(words_BLW.dtype)
        hidden_BLW = tower.transformer(hidden_BLW, attn_mask=tower.attn_mask[:length, :length])
        every_B = torch.arange(len(ends_B), device=ends_B.device)
        ends_BW = tower.ln_final(hidden_BLW[every_B, ends_B])
        projection = tower.text_projection
        if projection is None or isinstance(projection, nn.Linear):
            pooled_BD: Tensor = ends_BW if projection is None else projection(ends_BW)
            return pooled_BD
        projected_BD: Tensor = ends_BW @ projection
        return projected_BD
