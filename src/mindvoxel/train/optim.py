"""Optimisers with every argument named."""

from mindspore import nn


def adam(parameters: list, rates: list[float]) -> nn.Optimizer:
    """Adam (Kingma & Ba 2015), betas 0.9 and 0.999, eps 1e-8, no weight decay; `rates` one learning rate a step."""
    return nn.Adam(parameters, learning_rate=rates, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, loss_scale=1.0)
