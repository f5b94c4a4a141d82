"""Features of a network below its last layer, pooled or region by region."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from headgraft.workers.pictures.folder import picture_error

NO_LINEAR = (
    "the network's last layer is no torch.nn.Linear over one feature a picture, nor does it give "
    "one itself: take its classifier off"
)
NOT_RUN = "where the network is run on pictures, its classifier does not run, or not once a picture"
Seen = list[tuple[str, nn.Module, Tensor, Tensor]]


class Backbone:
    """A network in evaluation mode that gives what its last layer would read.

    `layer` names the module whose output are the regions, (N, D, H, W), or tokens (N, T, D);
    `classifier` is the module that reads pooled features. Either is found where it is not given.
    """

    def __init__(
        self, network: nn.Module, layer: str | None = None, classifier: nn.Module | None = None
    ) -> None:
        self._network = network.eval()
        self._layer = layer
        self._classifier = classifier
        if layer is not None and layer not in dict(network.named_modules()):
            names = [name for name, _ in network.named_children()]
            raise picture_error(f"the network has no module {layer!r}; it has {', '.join(names)}")

    @torch.no_grad()
    def pooled(self, pictures: Tensor) -> Tensor:
        """Return one feature a picture (N, D): what goes into the layer that scores classes."""
        features_ND = self._before_classifier(pictures)
        if features_ND is None or features_ND.ndim != 2 or len(features_ND) != len(pictures):
            raise picture_error(NO_LINEAR if self._classifier is None else NOT_RUN)
        return features_ND

    def _before_classifier(self, pictures: Tensor) -> Tensor | None:
        if self._classifier is not None:
            with _watched([("", self._classifier)], only_last=True) as seen:
                self._network(pictures)
            return seen[0][2] if seen else None
        modules = self._network.named_modules()
        linear = [(name, one) for name, one in modules if isinstance(one, nn.Linear)]
        with _watched(linear, only_last=True) as seen:
            output = _tensor(self._network(pictures))
        return seen[0][2] if seen and seen[0][3] is output else output

    @torch.no_grad()
    def regions(self, pictures: Tensor) -> Tensor:
        """Return features of regions: (N, D, H, W), or (N, D, T) of tokens."""
        if self._layer is None and hasattr(self._network, "forward_features"):
            forward = cast(Callable[[Tensor], Tensor], self._network.forward_features)
            return self._laid_out(forward(pictures), timm=True)
        with _watched(self._network.named_modules()) as seen:
            self._network(pictures)
        outputs = [made for name, _, _, made in seen if self._layer in (None, name)]
        if self._layer is None:
            outputs = [made for made in outputs if made.ndim == 4 and made[0, 0].numel() > 1]
        if not outputs:
            raise picture_error(
                "no module of the network gives a map of regions: name one as layer"
            )
        return self._laid_out(outputs[-1], timm=False)

    def _laid_out(self, output: Tensor, *, timm: bool) -> Tensor:
        """Bring the features' size to the second place; timm says how its networks have it."""
        if output.ndim == 4:
            is_last = timm and getattr(self._network, "output_fmt", "NCHW") == "NHWC"
            return output.permute(0, 3, 1, 2) if is_last else output
        if output.ndim != 3:
            shape = tuple(output.shape)
            raise picture_error(f"the layer's output has shape {shape}, which is no map of regions")
        # Tokens of no region, such as the class token, go first.
        others = int(getattr(self._network, "num_prefix_tokens", 0)) if timm else 0
        return output[:, others:].transpose(1, 2)


@contextmanager
def _watched(
    modules: Iterable[tuple[str, nn.Module]], *, only_last: bool = False
) -> Iterator[Seen]:
    """Note of each module, in the order in which they end, what it read and what it made.

    `only_last` keeps one note alone, and so no more than one module's tensors in memory.
    """
    seen: Seen = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, read: Any, made: Any) -> None:
            before, after = _tensor(read), _tensor(made)
            if before is not None and after is not None:
                if only_last:
                    seen.clear()
                seen.append((name, module, before, after))

        return note

    hooks = [module.register_forward_hook(watch(name)) for name, module in modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _tensor(given: Any) -> Tensor | None:
    """Return the tensor, or the first of several, of what a module reads or makes."""
    if isinstance(given, tuple | list):
        return _tensor(given[0]) if given else None
    logits = getattr(given, "logits", given)
    return logits if isinstance(logits, Tensor) else None
