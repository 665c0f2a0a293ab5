"""Straight-through estimators: a value in the forward pass, a stated rule in the backward pass."""

import torch


class _Stand(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, value, rule):
        ctx.rule = rule
        return value.clone()

    @staticmethod
    def backward(ctx, dy):
        return ctx.rule(dy), None, None


class _StandOfTwo(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, learned, value, rules):
        ctx.rules = rules
        return value.clone()

    @staticmethod
    def backward(ctx, dy):
        to_x, to_learned = ctx.rules
        return to_x(dy), to_learned(dy), None, None


def stand_in(x, value, rule):
    """`value` in place of x; the gradient of x is rule(dy)."""
    return _Stand.apply(x, value.detach(), rule)


def stand_in_learned(x, learned, value, to_x, to_learned):
    """`value` in place of a function of x and a learned parameter; their gradients are to_x(dy), to_learned(dy)."""
    return _StandOfTwo.apply(x, learned, value.detach(), (to_x, to_learned))


def exactly(value, through):
    """`value`, with the gradient of `through`, to which it is equal but for rounding."""
    return value.detach() + (through - through.detach())


def mask(condition):
    """1 where the condition holds, else 0."""
    return condition.to(torch.get_default_dtype())
