"""How a network's last map is laid out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from leaflineage.errors import ModelError
from leaflineage.model.layout import probe_features


class Tokens(nn.Module):
    """A network that says its tokens stand on a grid of 10 by 10."""

    def __init__(self, n_tokens: int) -> None:
        super().__init__()
        self.n_tokens, self.num_prefix_tokens, self.patch_embed = n_tokens, 1, nn.Identity()
        self.patch_embed.grid_size = (10, 10)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(images), 1 + self.n_tokens, 8)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(dim=1)


def test_tokens_of_another_input_size_stand_on_a_square_of_their_own() -> None:
    layout = probe_features(Tokens(36), torch.zeros(1, 3, 96, 96), where="a test").layout
    assert (layout.rows, layout.columns) == (6, 6)


def test_tokens_that_fill_no_grid_are_refused() -> None:
    with pytest.raises(ModelError, match="got 35 tokens beside 1 prefix tokens"):
        probe_features(Tokens(35), torch.zeros(1, 3, 96, 96), where="a test")
