"""Formulas as MathML, which browsers draw by themselves: the built pages load nothing."""

from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml


def inline(writer: Any, node: Any) -> None:
    """Write a formula within a line."""
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise SkipNode


def block(writer: Any, node: Any) -> None:
    """Write a formula of its own."""
    formula = tex2mathml(node.astext(), as_block=True)
    # The theme would give each formula scroll bars of its own, and cut what is below a sum.
    formula = formula.replace("<math ", '<math style="overflow: visible" ', 1)
    writer.body.append(f'<div style="overflow-x: auto; padding-block: 0.5em">{formula}</div>')
    raise SkipNode
