"""Turn a claim about complex numbers into one about their real and imaginary parts.

The parts of a number are along a last axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradcheck_cli.errors import CodeError
from gradcheck_cli.usercode.calling.values import Array
from gradcheck_cli.usercode.complex_numbers import CONVENTIONS, MEANINGS, to_complex, to_parts
from gradcheck_cli.usercode.derivatives.claims import Claim, as_numbers, read_by_leaf
from gradcheck_cli.usercode.derivatives.jacobians import read_blocks
from gradcheck_cli.usercode.derivatives.tangents import read_outputs

if TYPE_CHECKING:
    from gradcheck_cli.problem import Arrays

HOLOMORPHIC = (
    "{who} is compared as the derivative of a holomorphic function, dy = J·dz; real and imaginary "
    "parts are along the last axis"
)
GRADIENTS = "every row of {who} is compared as a gradient of {convention}, {meaning}"


def split_claim(claim: Claim, outputs: bool, convention: str, kind: str) -> Claim:
    """The claim with the parts of complex inputs and outputs instead.

    outputs: whether the outputs are complex. convention: of complex gradients.
    kind: the key of the derivative. A jvp is linear in the parts, whatever the function. A jacobian
        of complex outputs is that of a holomorphic function, dy = J·dz; one of real outputs has
        gradients in the convention as rows. An hvp is the derivative of such a gradient along dz.
    Raises CodeError for a Hessian.
    """
    if kind == "hessian":
        raise CodeError(
            f"{claim.who}: one complex matrix is no Hessian of a real function of complex numbers; "
            "give the product H·v, the derivative of the gradient along v, under hvp"
        )
    inputs = claim.inputs
    names = frozenset(name for name, x in inputs.items() if np.iscomplexobj(x))
    parts = ClaimByParts(claim, names, outputs, convention)
    notes = _describe(claim, bool(names), outputs, convention) if kind == "jacobian" else ()
    return replace(
        claim,
        inputs={name: to_parts(x) if name in names else x for name, x in inputs.items()},
        forward=parts.forward,
        derivative=getattr(parts, kind),
        shape=(*claim.shape, 2) if outputs else claim.shape,
        late_notes=lambda: (*claim.late_notes(), *notes),
        complex_inputs=names,
        complex_outputs=outputs,
    )


class ClaimByParts(Struct, frozen=True):
    """The functions of a claim as functions of the parts of complex numbers.

    names: the complex inputs. outputs: whether the outputs are complex. convention: of gradients.
    """

    claim: Claim
    names: frozenset[str]
    outputs: bool
    convention: str

    def join(self, arrays: Arrays) -> dict[str, Any]:
        """The inputs from their parts, complex where they are."""
        return {name: to_complex(x) if name in self.names else x for name, x in arrays.items()}

    def forward(self, arrays: Arrays) -> Array:
        """The outputs, by their parts."""
        made = self.claim.forward(self.join(arrays))
        return to_parts(made) if self.outputs else made

    def jvp(self, arrays: Arrays, tangents: Arrays) -> Array:
        """The derivative along tangents, by the parts of both."""
        returned = self.claim.derivative(self.join(arrays), self.join(tangents))
        made = read_outputs(returned, self.claim)
        return to_parts(made) if self.outputs else _expect_real(made, self.claim)

    def hvp(self, arrays: Arrays, tangents: Arrays) -> dict[str, Any]:
        """The derivative of the gradients along tangents, by the parts of both."""
        returned = self.claim.derivative(self.join(arrays), self.join(tangents))
        return {
            name: self._gradient(as_numbers(part, self.claim.who))
            if name in self.names and part is not None
            else part
            for name, part in read_by_input(returned, self.claim).items()
        }

    def jacobian(self, arrays: Arrays) -> dict[str, Any]:
        """The blocks of the Jacobian: parts of outputs × parts of an input."""
        blocks = read_blocks(self.claim.derivative(self.join(arrays)), self.claim)
        return {
            name: block if block is None else self._block(block, name)
            for name, block in blocks.items()
        }

    def _block(self, block: Array, name: str) -> Array:
        axes = len(self.claim.shape)
        if block.shape != (*self.claim.shape, *self.claim.inputs[name].shape):
            return block
        if name not in self.names:
            return _split_outputs(block, axes) if self.outputs else _expect_real(block, self.claim)
        if not self.outputs:
            return self._gradient(block)
        by_real, by_imaginary = block, 1j * block
        return np.stack([_split_outputs(one, axes) for one in (by_real, by_imaginary)], axis=-1)

    def _gradient(self, values: Array) -> Array:
        """The derivatives by the two parts, from a gradient in the convention."""
        return to_parts(CONVENTIONS[self.convention](values))


def read_by_input(returned: Any, claim: Claim) -> dict[str, Any]:
    """The returned value for every input: by name, in order, or the only one."""
    names = list(claim.inputs)
    if isinstance(returned, Mapping):
        parts = read_by_leaf(returned, claim, "a vector for every input")
        return dict(zip(names, parts, strict=True))
    several = isinstance(returned, tuple | list) and len(returned) == len(names) > 1
    return dict(zip(names, returned if several else [returned], strict=False))


def _describe(claim: Claim, inputs: bool, outputs: bool, convention: str) -> tuple[str, ...]:
    """How the Jacobian of complex inputs is compared."""
    if inputs and outputs:
        return (HOLOMORPHIC.format(who=claim.who),)
    meaning = MEANINGS[convention]
    given = {"who": claim.who, "convention": convention, "meaning": meaning}
    return (GRADIENTS.format(**given),) if inputs else ()


def _split_outputs(block: Array, axes: int) -> Array:
    """A block of a Jacobian with the parts of its outputs as an axis after those `axes` of them."""
    return np.stack([block.real, block.imag], axis=axes)


def _expect_real(values: Array, claim: Claim) -> Array:
    """The real parts of numbers. Raises CodeError where they are not all real."""
    if np.iscomplexobj(values) and np.any(values.imag):
        raise CodeError(f"{claim.who} gives complex numbers, where inputs and outputs are real")
    return values.real
