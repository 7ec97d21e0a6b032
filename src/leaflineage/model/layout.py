"""What a network's last feature map looks like: which axis is which, and which module it comes from."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from leaflineage.errors import ModelError

Layout = Literal["channels-first", "channels-last", "tokens"]


@dataclass(frozen=True)
class MapLayout:
    """Where rows, columns and channels stand in what ``forward_features`` returns.

    Attributes
    ----------
    kind : "channels-first" (n, c, rows, columns), "channels-last" (n, rows, columns, c) or "tokens" (n, t, c)
    rows, columns, n_channels : int
    n_prefix_tokens : int
        Tokens before the first cell (class and register tokens); 0 unless ``kind`` is "tokens".
    """

    kind: Layout
    rows: int
    columns: int
    n_channels: int
    n_prefix_tokens: int = 0


@dataclass(frozen=True)
class Probe:
    """What one pass through ``forward_features`` showed.

    Attributes
    ----------
    raw : tensor
        The feature map in the network's own layout.
    layout : MapLayout
    layer_names : list of str
        Modules whose output is that map, the outermost first.
    """

    raw: Tensor
    layout: MapLayout
    layer_names: list[str]


def forward_features(network: nn.Module, images: Tensor) -> Tensor:
    """Return timm's feature map, in the network's own layout."""
    features: Tensor = network.forward_features(images)  # type: ignore[operator]
    return features


def forward_head(network: nn.Module, features: Tensor) -> Tensor:
    """Return timm's logits of a feature map in the network's own layout."""
    logits: Tensor = network.forward_head(features)  # type: ignore[operator]
    return logits


def divide_map(raw: Tensor, layout: MapLayout) -> tuple[Tensor, Tensor | None]:
    """Return cells (n, rows, columns, n_channels) and prefix tokens (n, n_prefix_tokens, n_channels), None without."""
    if layout.kind == "channels-first":
        return raw.permute(0, 2, 3, 1), None  # (n, rows, columns, n_channels)
    if layout.kind == "channels-last":
        return raw, None
    n_prefix = layout.n_prefix_tokens
    cells = raw[:, n_prefix:].reshape(len(raw), layout.rows, layout.columns, -1)
    return cells, raw[:, :n_prefix] if n_prefix else None


def join_map(maps: Tensor, prefix: Tensor | None, layout: MapLayout) -> Tensor:
    """Return cells (n, rows, columns, n_channels) and prefix tokens, zeros for None, in the network's own layout."""
    if layout.kind == "channels-first":
        return maps.permute(0, 3, 1, 2)  # (n, n_channels, rows, columns)
    if layout.kind == "channels-last":
        return maps
    tokens = maps.flatten(1, 2)  # (n, n_cells, n_channels)
    if not layout.n_prefix_tokens:
        return tokens
    if prefix is None:
        prefix = tokens.new_zeros(len(tokens), layout.n_prefix_tokens, tokens.shape[2])
    return torch.cat([prefix.to(tokens), tokens], dim=1)


def probe_features(network: nn.Module, images: Tensor, *, where: str) -> Probe:
    """Send normalised images (n, 3, height, width) through the features and see what comes out, and from where.

    Raises
    ------
    ModelError
        Where there is no map: features already pooled, several maps, or no ``forward_features`` at all.
    """
    if not all(callable(getattr(network, name, None)) for name in ("forward_features", "forward_head")):
        raise ModelError(
            f"Wanted a network with forward_features and forward_head, got {type(network).__name__}, in {where}. "
            "Use a timm architecture that has both; most image classifiers of timm do."
        )
    outputs: dict[str, weakref.ref[Tensor]] = {}  # weak: what the pass lets go of is not the last map
    handles = [_remember_output(outputs, name, module) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            raw = forward_features(network, images)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelError(
            f"Wanted a feature map of images of {images.shape[2]} by {images.shape[3]} pixels, got an error "
            f"({' '.join(str(error).split())[:200]}), in {where}. Set [classifier] input_size to one the "
            "architecture takes; transformers take the size they were trained at."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    layout = _find_layout(network, raw, where)
    names = [name for name, _ in network.named_modules() if name in outputs and outputs[name]() is raw]
    return Probe(raw, layout, names)


def _remember_output(
    outputs: dict[str, weakref.ref[Tensor]], name: str, module: nn.Module
) -> torch.utils.hooks.RemovableHandle:
    def hook(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            outputs[name] = weakref.ref(output)

    return module.register_forward_hook(hook)


def _find_layout(network: nn.Module, raw: Tensor, where: str) -> MapLayout:
    if isinstance(raw, Tensor) and raw.ndim == 4:
        return _find_map_layout(network, raw)
    if isinstance(raw, Tensor) and raw.ndim == 3:
        return _find_token_layout(network, raw, where)
    came = f"a tensor of shape {tuple(raw.shape)}" if isinstance(raw, Tensor) else f"a {type(raw).__name__}"
    raise ModelError(
        f"Wanted one feature map with rows and columns, got {came}, from {type(network).__name__} in {where}. "
        "Use an architecture whose forward_features returns a map, as ResNet, EfficientNet or ConvNeXt."
    )


def find_cut_layout(shape: Sequence[int], input_size: tuple[int, int], *, like: MapLayout) -> MapLayout | None:
    """Return the layout of a layer's output before the last map, None where it has no rows and columns.

    Parameters
    ----------
    shape : sequence of int
        (n, n_channels, rows, columns), (n, rows, columns, n_channels) or (n, n_tokens, n_channels).
    input_size : (height, width)
        Of the images that gave it.
    like : MapLayout
        Of the last feature map.
    """
    if len(shape) == 4:
        # Rows and columns are in the proportion of the image's sides; a cube is read as the last map is.
        fits = {
            "channels-first": _is_in_proportion(shape[2], shape[3], input_size),
            "channels-last": _is_in_proportion(shape[1], shape[2], input_size),
        }
        is_last = fits["channels-last"] and not (fits["channels-first"] and like.kind != "channels-last")
        if is_last:
            return MapLayout("channels-last", shape[1], shape[2], shape[3])
        return MapLayout("channels-first", shape[2], shape[3], shape[1]) if fits["channels-first"] else None
    if len(shape) == 3 and like.kind == "tokens":
        n_cells, scale = shape[1] - like.n_prefix_tokens, 1
        while like.rows * like.columns * scale**2 < n_cells:
            scale *= 2  # tokens merged two by two on the way
        rows, columns = like.rows * scale, like.columns * scale
        return MapLayout("tokens", rows, columns, shape[2], like.n_prefix_tokens) if rows * columns == n_cells else None
    return None


def _is_in_proportion(rows: int, columns: int, input_size: tuple[int, int]) -> bool:
    """Tell whether a map's rows and columns are to one another as the input's, but for rounding."""
    height, width = input_size
    return rows <= height and columns <= width and abs(rows * width - columns * height) <= max(height, width)


def _find_map_layout(network: nn.Module, raw: Tensor) -> MapLayout:
    n_channels = getattr(network, "num_features", None)
    says_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")
    if says_last or (raw.shape[3] == n_channels and raw.shape[1] != n_channels):
        return MapLayout("channels-last", raw.shape[1], raw.shape[2], raw.shape[3])
    return MapLayout("channels-first", raw.shape[2], raw.shape[3], raw.shape[1])


def _find_token_layout(network: nn.Module, raw: Tensor, where: str) -> MapLayout:
    n_prefix = int(getattr(network, "num_prefix_tokens", 0))
    n_cells = raw.shape[1] - n_prefix
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    side = math.isqrt(max(n_cells, 0))
    rows, columns = (int(grid[0]), int(grid[1])) if grid is not None else (side, side)
    if rows * columns != n_cells:  # merged on the way, or for another input size than was asked for
        rows, columns = side, side
    if rows * columns != n_cells:
        raise ModelError(
            f"Wanted tokens that stand on a grid, got {n_cells} tokens beside {n_prefix} prefix tokens, from "
            f"{type(network).__name__} in {where}. Use an architecture whose tokens form rows and columns."
        )
    return MapLayout("tokens", rows, columns, raw.shape[2], n_prefix)
