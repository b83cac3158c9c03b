"""The differentiable operations: forward and backward side by side, on plain arrays.

One file per family. `forward` keeps in `ctx.saved` what `backward` needs and nothing more: an array
is kept only where `ctx.needs` asks for the gradient that uses it.
"""
