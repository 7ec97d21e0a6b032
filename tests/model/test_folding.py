"""Folding batch norms changes how fast a classifier answers, never what."""

import timm
import torch
from torch import nn

from leaflineage.model.folding import fold_batch_norms


def make_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, num_classes=5).eval().requires_grad_(False)
    for module in network.modules():  # norms as after training, not as they are born
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network


def count_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_a_folded_network_gives_the_same_logits_with_no_batch_norm_left() -> None:
    images = torch.rand(2, 3, 64, 64)
    for name in ("tf_efficientnet_lite0", "resnet10t", "regnetx_002"):
        network = make_network(name)
        folded = fold_batch_norms(network, images)
        assert folded is not network, name
        assert count_norms(folded) == 0, name
        wanted = network(images)
        assert float((folded(images) - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max()), name


def test_the_network_that_came_is_left_as_it_is() -> None:
    network = make_network("resnet10t")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold_batch_norms(network, torch.rand(1, 3, 64, 64))
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in before.items())


def test_a_norm_that_does_not_follow_its_convolution_is_not_folded() -> None:
    class Crossed(nn.Module):
        """Registers a convolution and a norm side by side, and applies the norm first."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 3)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.convolution(self.norm(images)) + 0.3)

    torch.manual_seed(0)
    network = Crossed().eval().requires_grad_(False)
    network.norm.running_mean.uniform_(0.2, 0.4)
    network.norm.running_var.uniform_(2, 3)
    assert fold_batch_norms(network, torch.rand(1, 3, 16, 16)) is network
