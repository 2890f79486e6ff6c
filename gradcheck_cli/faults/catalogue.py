"""The catalogue of faults, which are put into right gradients and looked for in wrong ones.

A fault is a row here with a function from the right gradient to wrong ones, `inject`. If the fault
has numbers to fit, a second function is given the wrong gradient as well, `suspect`. Faults are
tried in this order; those that need no further measurements come first. CONTRIBUTING.md shows how
to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np

from gradcheck_cli.faults.fault import Fault, Injected
from gradcheck_cli.faults.kinds import (
    activation_faults,
    branch_faults,
    complex_faults,
    edge_faults,
    entry_faults,
    entrywise_faults,
    exchange_faults,
    gradient_faults,
    input_faults,
    overwriting,
    part_faults,
    pattern_faults,
    product_faults,
    share_faults,
    slice_factors,
    slice_faults,
    statistic_faults,
    term_faults,
    upstream_faults,
)
from gradcheck_cli.faults.measured_gradient import MeasuredGradient
from gradcheck_cli.layers import mistaken_slopes
from gradcheck_cli.measure.comparison import Comparison
from gradcheck_cli.result import Code, Diagnosis

Suspect = Callable[[MeasuredGradient, Comparison], Iterable[Injected]]


def _chain(
    *functions: Callable[[MeasuredGradient], Iterable[Injected]],
) -> Callable[[MeasuredGradient], list[Injected]]:
    """Make one injection that lists the faults of several."""
    return lambda measured: list(chain.from_iterable(function(measured) for function in functions))


def _without_comparison(
    *functions: Callable[[MeasuredGradient], Iterable[Injected]],
) -> Callable[[MeasuredGradient, Comparison], list[Injected]]:
    """Make a suspect of injections, which do not need the wrong gradient."""
    return lambda measured, _: _chain(*functions)(measured)


def _either(*functions: Suspect) -> Suspect:
    """Make one suspect that lists the faults of several."""
    return lambda measured, comparison: chain.from_iterable(
        function(measured, comparison) for function in functions
    )


_ALL: tuple[Fault, ...] = (
    Fault(
        Code.ZEROS,
        "nothing but zeros",
        cause="the gradient is written into a copy or an array that is not the one returned, or "
        "the input is cut off from the loss",
        next_step="look at where this gradient is stored, and whether that array is returned",
        example="np.add.at(dx.flatten(), index, delta)    # flatten makes a copy",
        remedy="inputs where the gradient is not zero",
        inject=gradient_faults.zero_all,
        inside=False,
    ),
    Fault(
        Code.CONJUGATE,
        "a conjugate is missing",
        cause="the rule is that of real numbers: .T where the conjugate transpose belongs, or the "
        "gradient of the other convention",
        next_step="write .conj().T for .T, and see which convention the caller has",
        example="W.T @ delta    # for W.conj().T @ delta",
        remedy="complex inputs with imaginary parts",
        inject=complex_faults.conjugate,
        alone=True,
        inside=False,
    ),
    Fault(
        Code.FACTOR,
        "a constant factor",
        cause="a factor is missing, or there once too often",
        next_step="look for this factor in the rule",
        example="X.T @ delta / n    # delta is ∂L/∂Y, and has the 1/n of the mean already",
        remedy="a batch of n = 2 or more, and inputs where the gradient is not zero",
        inject=gradient_faults.scale_by_usual_factors,
        suspect=gradient_faults.fit_scale,
        alone=True,
        inside=False,
    ),
    Fault(
        Code.TRANSPOSED,
        "transposed",
        cause="the factors of a product stand in the wrong order: (AB)ᵀ = BᵀAᵀ",
        next_step="swap the factors and their transposes, or transpose the result",
        example="delta.T @ X    # for X.T @ delta",
        remedy="sizes that differ, and inputs that are not symmetric",
        inject=gradient_faults.transpose,
        suspect=gradient_faults.permute_axes,
        inside=False,
    ),
    Fault(
        Code.GRADIENT_OF_ANOTHER,
        "the gradient of another input",
        cause="gradients are returned in another order than the inputs have, or one of them twice",
        next_step="compare what is returned, and in which order, with the parameters",
        example="return grad_W, grad_X    # for grad_X, grad_W",
        remedy="inputs whose gradients differ",
        inject=gradient_faults.swap_gradients,
        inside=False,
    ),
    Fault(
        Code.INDEX_SWAPPED,
        "an index swapped",
        cause="δ_i for δ_j, as in the paper's (35), which prints ∂L/∂W_ij = (∂L/∂y_i) x_i for "
        "(∂L/∂y_j) x_i",
        next_step="write the rule for one entry [i, j], and look at which index stands where",
        example="np.repeat((delta * x).T, M, axis=1)    # δ_i x_i for x_i δ_j",
        remedy="sizes N = M, so that the wrong index exists, and values that differ",
        inject=gradient_faults.swap_index,
        inside=False,
    ),
    Fault(
        Code.BRANCH,
        "a branch left out, counted twice, or with a factor",
        cause="a value is used in several places, and what comes back from one of them is not "
        "added, is added twice or has another factor or sign: a later time step, a skip "
        "connection, a mean or a variance that depends on the input, too, a part that is detached",
        next_step="look at every place that uses this value: the backward adds one term for each",
        example="dh = dz[t] @ U.T    # for dh = dout[t] + dz[t + 1] @ U.T",
        suspect=_either(branch_faults.fit_branches, edge_faults.drop_edges),
        alone=True,
    ),
    Fault(
        Code.SUMMED,
        "summed over the wrong axes",
        cause="the sum runs over an axis too many, or over the other one",
        next_step="name the axis: the gradient has the shape of its input",
        example="db = delta.sum()    # for delta.sum(0)",
        remedy="an upstream gradient whose sums differ",
        inject=_chain(gradient_faults.sum_entries, upstream_faults.sum_upstream),
        suspect=_without_comparison(
            gradient_faults.sum_entries,
            upstream_faults.sum_upstream,
            gradient_faults.sum_another,
        ),
        alone=True,
        inside=False,
    ),
    Fault(
        Code.SLOPE_MISSING,
        "an activation's derivative, or a mask, is missing",
        cause="the upstream gradient is not multiplied by f′(z) on its way",
        next_step="multiply the upstream gradient by f′(z) before it is used",
        example="X.T @ delta    # for X.T @ (delta * (Z > 0))",
        remedy="inputs where f′(z) is not 1 everywhere",
        inject=_chain(
            activation_faults.use_mistake(mistaken_slopes.MISSING),
            activation_faults.pass_upstream,
            activation_faults.remove_mask,
        ),
        suspect=_either(
            _without_comparison(
                activation_faults.use_mistake(mistaken_slopes.MISSING),
                activation_faults.pass_upstream,
                activation_faults.guess_mistake(mistaken_slopes.MISSING),
                activation_faults.remove_mask,
            ),
            edge_faults.skip_slopes,
            edge_faults.mistake_slopes("1", lambda y, slope: np.ones_like(y)),
        ),
    ),
    Fault(
        Code.FUNCTION_FOR_SLOPE,
        "an activation in the place of its derivative",
        cause="f is called where f′ is meant",
        next_step="look at which function the upstream gradient is multiplied by",
        example="delta * np.tanh(z)    # for 1 - np.tanh(z)**2",
        remedy="inputs where f(z) and f′(z) differ",
        inject=_chain(
            activation_faults.use_mistake(mistaken_slopes.FUNCTION),
            activation_faults.use_function_for_slope,
        ),
        suspect=_either(
            _without_comparison(
                activation_faults.use_mistake(mistaken_slopes.FUNCTION),
                activation_faults.use_function_for_slope,
                activation_faults.guess_mistake(mistaken_slopes.FUNCTION),
            ),
            edge_faults.mistake_slopes("y", lambda y, slope: y),
        ),
    ),
    Fault(
        Code.SLOPE_MISPLACED,
        "an activation's derivative at the wrong place",
        cause="f′ is a formula in z and is given y = f(z) or the upstream gradient, or one in y "
        "and is given z",
        next_step="σ(z) (1 − σ(z)) takes z, y (1 − y) takes y: give each what it is made for",
        example="delta * sigmoid_prime(y)    # for sigmoid_prime(z)",
        remedy="inputs where f′(z) and f′(y) differ",
        inject=_chain(
            activation_faults.use_mistake(mistaken_slopes.AT_OUTPUT),
            activation_faults.evaluate_at_output,
        ),
        suspect=_without_comparison(
            activation_faults.use_mistake(mistaken_slopes.AT_OUTPUT),
            activation_faults.use_mistake(mistaken_slopes.BY_INPUT),
            activation_faults.use_mistake(mistaken_slopes.AT_UPSTREAM),
            activation_faults.guess_mistake(mistaken_slopes.AT_OUTPUT),
            activation_faults.guess_mistake(mistaken_slopes.BY_INPUT),
            activation_faults.use_input_in_formula,
            activation_faults.evaluate_at_output,
        ),
    ),
    Fault(
        Code.SLOPE_TWICE,
        "an activation's derivative twice",
        cause="the upstream gradient is multiplied by f′(z) in two places",
        next_step="look for both places, often the layer and the loss",
        example="X.T @ (delta * y * (1 - y))    # where delta is ∂L/∂z already",
        remedy="inputs where f′(z) is neither 0 nor 1",
        inject=activation_faults.use_mistake(mistaken_slopes.TWICE),
        suspect=_either(
            _without_comparison(
                activation_faults.use_mistake(mistaken_slopes.TWICE),
                activation_faults.guess_mistake(mistaken_slopes.TWICE),
            ),
            edge_faults.mistake_slopes("f′(z)²", lambda y, slope: slope**2),
        ),
    ),
    Fault(
        Code.SLOPE_MIRRORED,
        "an activation's derivative on the wrong side",
        cause="a comparison or a sign inside f′ is reversed",
        next_step="compute f′ by hand for one positive and one negative z",
        example="delta * (Z < 0)    # for Z > 0",
        remedy="inputs where f′(z) and f′(−z) differ",
        inject=_chain(
            activation_faults.use_mistake(mistaken_slopes.OPPOSITE),
            activation_faults.mirror_input,
        ),
    ),
    Fault(
        Code.OTHER_SLOPE,
        "the derivative of another activation",
        cause="the activation was changed in the forward alone, or a constant of it in one place",
        next_step="compare the activation of the forward with the derivative of the backward",
        example="delta * (Z > 0)    # for a leaky relu",
        suspect=activation_faults.use_other_slope,
    ),
    Fault(
        Code.TRIANGLE,
        "a triangle of a matrix, or its diagonal twice",
        cause="a symmetric matrix is stored or summed by one triangle: an entry off the diagonal "
        "stands for two, one on the diagonal for itself",
        next_step="write down which entries of the input the forward reads, and how often; where "
        "it is always symmetric, constraint: symmetric compares what has an effect",
        example="np.tril(G + G.T)    # counts the diagonal twice",
        remedy="a square input of three rows or more, and a gradient without zeros",
        inject=gradient_faults.keep_triangle,
        suspect=gradient_faults.fit_triangle,
        alone=True,
        inside=False,
    ),
    Fault(
        Code.FLATTENED,
        "flattened by columns",
        cause="the matrix calculus of vec, or code of MATLAB or Fortran, counts down the columns; "
        "NumPy counts along the rows",
        next_step="flatten outputs and inputs by reshape(-1), or return outputs × input with all "
        "their axes",
        example="np.kron(w.T, np.eye(n))    # ∂vec(xw)/∂vec(x), by columns",
        remedy="inputs and outputs with two axes of different lengths",
        inject=pattern_faults.flatten_by_columns,
        alone=True,
        inside=False,
    ),
    Fault(
        Code.OTHER_PATTERN,
        "another pattern of zeros",
        cause="the sparsity is declared by hand, and an output depends on more inputs than it "
        "says, or on others",
        next_step="look at which inputs these outputs use",
        example="J = scipy.sparse.diags_array(d)    # y_i uses x_{i+1}, too",
        remedy="inputs where no entry of the Jacobian is zero by chance",
        inject=pattern_faults.drop_nonzero,
        suspect=pattern_faults.fit_pattern,
        describe=pattern_faults.describe_pattern,
        inside=False,
    ),
    Fault(
        Code.PART_SCALED,
        "a part is zero, or has a factor",
        cause="a loop or a slice ends early, or a part is written twice or never",
        next_step="look at the bounds of the loop or the slice that fills this part",
        example="for i in range(1, N): dW[i] = x[i] * delta    # dW[0] is never written",
        remedy="inputs where no row or column of the gradient is zero",
        inject=part_faults.zero_parts,
        suspect=part_faults.fit_part_scale,
        describe=part_faults.describe_zero_slices,
        inside=False,
    ),
    Fault(
        Code.SLICES_MOVED,
        "rows or columns from elsewhere",
        cause="an index is off by one, an order is not undone, or a buffer keeps the values of "
        "the row before",
        next_step="look at the index with which these rows are read or written",
        example="dW[i] = x[i - 1] * delta    # for x[i]",
        remedy="inputs whose rows differ",
        inject=slice_faults.shift_slices,
        suspect=slice_faults.fit_slice_sources,
        inside=False,
    ),
    Fault(
        Code.OTHER_PARAMETER,
        "the gradient for the logarithm of the input",
        cause="the forward takes log θ and the rule is that for θ, or the other way around: "
        "∂L/∂log θ = θ ∂L/∂θ",
        next_step="look at which of θ and log θ the forward is a function of, and multiply by "
        "∂θ/∂log θ = θ there",
        example="dlog_std = dstd    # for dstd * np.exp(log_std)",
        remedy="an input that is not zero everywhere, and a gradient that is not",
        inject=entrywise_faults.multiply_by_exponential,
        suspect=entrywise_faults.change_parameter,
        inside=False,
    ),
    Fault(
        Code.TERM_ADDED,
        "a term added",
        cause="a regulariser is in the gradient and not in the loss, or the other way around",
        next_step="compare the regulariser of the loss with that of the gradient",
        example="dW = X.T @ delta + reg * W    # where the loss has no reg",
        remedy="an input that is not zero",
        inject=term_faults.add_penalty,
        suspect=term_faults.fit_term,
        inside=False,
    ),
    Fault(
        Code.CLIPPED,
        "cut off",
        cause="the gradient is clipped before it is returned",
        next_step="clip where the gradient is used, not where it is computed",
        example="np.clip(dW, -5, 5, out=dW)",
        remedy="inputs where the entries of the gradient differ in size",
        inject=entry_faults.clip,
        suspect=entry_faults.fit_clip,
        alone=True,
        inside=False,
    ),
    Fault(
        Code.ROUNDED,
        "rounded",
        cause="the gradient went through a text, a file or a round()",
        next_step="look for what rounds it",
        example="np.round(X.T @ delta, 3)",
        remedy="inputs whose gradient has more digits, or a smaller tolerance",
        inject=entry_faults.round_entries,
        suspect=entry_faults.fit_decimals,
        alone=True,
        inside=False,
    ),
    Fault(
        Code.ELEMENTWISE_PRODUCT,
        "a product entry by entry",
        cause="* stands where @ belongs, and the shapes happen to allow it",
        next_step="write the product of matrices, X.T @ delta",
        example="X * delta    # for X.T @ delta, with n = N = M",
        remedy="sizes n, N and M that differ make it an error of shapes",
        inject=entrywise_faults.multiply_elementwise,
    ),
    Fault(
        Code.UPSTREAM_LEFT_OUT,
        "the upstream gradient is left out",
        cause="the rule is that of L = Σy: it ignores what it is handed",
        next_step="multiply by the upstream gradient (the chain rule)",
        example="X.T @ np.ones_like(delta)    # for X.T @ delta",
        remedy="an upstream gradient that is not 1 everywhere, such as that of a squared error",
        inject=upstream_faults.replace_upstream_by_ones,
    ),
    Fault(
        Code.UPSTREAM_DISTORTED,
        "the upstream gradient twice, or its sign or size only",
        cause="it is multiplied in twice, as where a loss already did it",
        next_step="look for every place that multiplies by the upstream gradient",
        example="X.T @ delta**2    # for X.T @ delta",
        remedy="an upstream gradient that is not 0 or 1 everywhere",
        inject=upstream_faults.square_upstream,
        suspect=upstream_faults.distort_upstream,
    ),
    Fault(
        Code.SAMPLES_LEFT_OUT,
        "samples left out",
        cause="a loop over the samples ends early, or overwrites what it should add to (= for +=)",
        next_step="look at the loop over the samples",
        example="np.outer(X[0], delta[0])    # for X.T @ delta",
        remedy="a batch of n = 2 or more",
        inject=share_faults.leave_out_samples,
        suspect=share_faults.fit_samples,
    ),
    Fault(
        Code.OVERWRITTEN,
        "terms overwritten",
        cause="windows overlap, an index is repeated, or an entry is copied to several places, and "
        "one term is taken where their sum belongs (= for +=, a slice with a stride for a sum)",
        next_step="look at where terms of several outputs meet in one entry: += adds them where "
        "windows overlap, np.add.at where an index is repeated",
        example="dx[i : i + k] = delta[i] * w    # for +=, where the stride is less than k",
        remedy="a stride below the size of the window, or an index with repeats",
        inject=overwriting.overwrite_terms,
        alone=True,
    ),
    Fault(
        Code.SAMPLES_REORDERED,
        "samples in another order",
        cause="inputs and upstream gradients are paired wrongly, as after a shuffle of one of them",
        next_step="look at what orders the samples, and undo it in the backward",
        example="X[::-1].T @ delta    # for X.T @ delta",
        remedy="a batch of n = 2 or more samples that differ",
        inject=share_faults.reorder_samples,
        suspect=share_faults.search_sample_order,
    ),
    Fault(
        Code.UPSTREAM_AVERAGED,
        "the upstream gradient averaged over samples",
        cause="a mean over the samples is taken before the product with the inputs, or subtracted",
        next_step="multiply sample by sample, and sum or average after",
        example="X.T @ np.broadcast_to(delta.mean(0), delta.shape)",
        remedy="a batch of n = 2 or more samples that differ",
        inject=upstream_faults.average_upstream,
    ),
    Fault(
        Code.DIAGONAL_ALONE,
        "the diagonal of the Jacobian alone",
        cause="every output depends on many inputs, as in a softmax or a layer that subtracts a "
        "mean, and the rule is that of a function of each entry",
        next_step="add what flows through the sum or the mean: −y Σ δ y for a softmax",
        example="delta * y * (1 - y)    # for a softmax",
        remedy="inputs where the terms off the diagonal are not zero",
        inject=entrywise_faults.keep_diagonal,
        suspect=_without_comparison(
            entrywise_faults.keep_diagonal, activation_faults.use_mistake(mistaken_slopes.DIAGONAL)
        ),
    ),
    Fault(
        Code.OUTPUTS_LEFT_OUT,
        "an output is cut off",
        cause="a slice of the outputs ends early, one of several outputs is forgotten, or what "
        "comes back from later steps is not added",
        next_step="look at the slice of the upstream gradient, or at what each output adds",
        example="delta[:, :-1] @ W[:, :-1].T    # for delta @ W.T",
        remedy="an upstream gradient without zeros",
        inject=share_faults.leave_out_outputs,
        suspect=share_faults.fit_outputs,
    ),
    Fault(
        Code.UPSTREAM_TRANSPOSED,
        "the upstream gradient transposed",
        cause="samples and outputs change places, and n = M allows it",
        next_step="write down the shapes of both factors",
        example="X.T @ delta.T    # for X.T @ delta, with n = M",
        remedy="sizes n and M that differ make it an error of shapes",
        inject=upstream_faults.transpose_upstream,
    ),
    Fault(
        Code.INPUT_TRANSPOSED,
        "an input transposed or reversed",
        cause="a transpose is missing or once too often (the sum runs over the wrong axis), and a "
        "square matrix allows it; of a convolution, the kernel is flipped or not",
        next_step="write down the shapes of both factors; sizes that differ would show it",
        example="delta @ W    # for delta @ W.T, with N = M",
        remedy="inputs that are not symmetric; sizes that differ make it an error of shapes",
        inject=input_faults.transpose_input,
        suspect=_either(edge_faults.transpose_edges, input_faults.transpose_or_reverse_input),
    ),
    Fault(
        Code.INPUT_LEFT_OUT,
        "an input left out",
        cause="the rule does not multiply by this input, as where a scale is forgotten",
        next_step="multiply by it (the chain rule)",
        example="dx = delta / std    # for delta * gamma / std",
        remedy="an input that is not 1 everywhere",
        inject=input_faults.leave_out_input,
        costly=True,
    ),
    Fault(
        Code.INPUT_STALE,
        "an input from an earlier call",
        cause="the backward works with what it kept from a call before, and this check called it "
        "before at inputs near these",
        next_step="keep the inputs of the last forward, or pass them",
        example="if self.cache is None: self.cache = x    # is never set again",
        remedy="a smaller tolerance, and inputs that are not zero",
        inject=input_faults.use_earlier_input,
        costly=True,
        alone=True,
    ),
    Fault(
        Code.INPUT_UPDATED,
        "an input after an update",
        cause="the weights are updated before the gradient is computed with them",
        next_step="compute all gradients first, then update",
        example="W -= lr * dW; dx = delta @ W.T",
        remedy="a gradient of the other input that is not zero",
        inject=input_faults.update_input,
        suspect=input_faults.fit_update,
        costly=True,
    ),
    Fault(
        Code.EXCHANGED,
        "an array in the place of another",
        cause="what went into a function stands where what came out of it belongs, or the other "
        "way around: logits for probabilities, z for y",
        next_step="look at which of the two the formula is for",
        example="dz = (z - t) / n    # for (softmax(z) - t) / n",
        suspect=_either(
            exchange_faults.pass_on,
            product_faults.fit_product,
            exchange_faults.fit_exchange,
            edge_faults.exchange_factors,
            statistic_faults.change_statistics,
        ),
        alone=True,
    ),
    Fault(
        Code.OTHER_UPSTREAM,
        "the gradient for another upstream gradient",
        cause="what the rule multiplies by is not ∂L/∂y: often the derivative of the loss, or of "
        "the last function, is another; a square matrix on the way back that is not transposed "
        "looks the same",
        next_step="look at what computes the upstream gradient there",
        example="X.T @ (logits - onehot)    # for softmax(logits) - onehot",
        suspect=upstream_faults.solve_for_upstream,
    ),
    Fault(
        Code.OTHER_INPUT,
        "the gradient for another input",
        cause="the rule is right, but works with another array in the place of this input: one "
        "of an earlier batch, or one before or after a step that changes it",
        next_step="look at what the backward takes this input from",
        example="delta @ X_old.T    # for X.T",
        remedy="other inputs that are not zero",
        inject=input_faults.negate_input,
        suspect=input_faults.find_other_input,
        costly=True,
        alone=True,
    ),
    Fault(
        Code.SLICES_SCALED,
        "rows or columns with factors of their own",
        cause="a number of each row or unit, such as f′(z_i) or a count, is multiplied in once too "
        "often, or not at all",
        next_step="look at what is indexed by these rows or columns, and at how often",
        example="dW[index] += terms    # for np.add.at(dW, index, terms), where index has repeats",
        remedy="a gradient of three rows or more, none of which is zero",
        inject=slice_factors.scale_slices,
        suspect=slice_factors.fit_slice_factors,
        alone=True,
        inside=False,
    ),
    Fault(
        Code.CONTRADICTION,
        "two derivatives contradict each other",
        cause="of J·v and Jᵀδ, or of an entry and its mirror image, one at least is wrong",
        next_step="look at which of the rows above failed: differences tell the two apart",
        example="np.vdot(delta, jvp(x, v)) != np.vdot(backward(delta, x), v)",
    ),
    Fault(
        Code.FEW_ENTRIES,
        "one or a few entries",
        cause="an index or a special case of these entries is wrong",
        next_step="compute these entries by hand",
        example="dW[1, 2] *= 1.01",
        remedy="a smaller tolerance",
        inject=entry_faults.perturb_entry,
        describe=entry_faults.describe_few_entries,
    ),
    Fault(
        Code.FLAT,
        "the forward is constant here",
        cause="the input goes through sign, round, argmax or a comparison, whose derivative is 0: "
        "the rule is a straight-through estimator, or leaves that derivative out",
        next_step="a straight-through estimator is no gradient: make the input a constant, or set "
        "expect to fail; else return zeros",
        example="dw = x.T @ delta    # of y = x @ sign(w)",
    ),
    Fault(
        Code.OTHER_MASK,
        "another mask",
        cause="which entries have a gradient is decided by nothing, by another array, or by "
        "another comparison, than in the forward: by the output for the input, or beyond another "
        "limit than that at which the forward is cut off",
        next_step="compute by hand an entry that is zero and should not be, or one that should be",
        example="delta * (y < 1)    # for (z < 1), where y = log(1 + exp(min(z, 1)))",
        remedy="inputs on both sides of every limit",
        inject=pattern_faults.exchange_zeros,
        describe=pattern_faults.describe_mask,
    ),
    Fault(
        Code.FLOAT32,
        "float32 inside",
        cause="an array of the backward is float32, as constants, files and frameworks make them",
        next_step="look for float32 in the backward; to accept it, set tolerance: {rtol: 1e-6}",
        example="delta.astype(np.float32)",
        remedy="float64, and a smaller tolerance",
        inject=entry_faults.round_to_float32,
        describe=entry_faults.describe_float32,
    ),
    Fault(
        Code.NOISE,
        "noise",
        cause="something draws at random, or is computed roughly, in the backward alone",
        next_step="look for random numbers and for iterations that end early",
        example="dW * (1 + 0.01 * rng.standard_normal(dW.shape))",
        remedy="a smaller tolerance",
        inject=entry_faults.add_noise,
        describe=entry_faults.describe_noise,
    ),
    # Faults of a whole check, of a shape and of a backward that misbehaves. They are not put into
    # gradients: every check sees them.
    Fault(
        Code.SMALL_DIFFERENCE,
        "a small difference everywhere",
        cause="a small constant, such as an epsilon against divisions by zero, stands in one of "
        "forward and backward alone, or one of them is an approximation or has noise",
        next_step="look for an epsilon, a clip or a truncated constant in one of the two",
        example="p - t    # for the gradient of -t * log(p + 1e-7)",
        describe=gradient_faults.describe_small_difference,
    ),
    Fault(
        Code.OTHER_REDUCTION,
        "the gradients of another reduction",
        cause="the loss is a mean and the gradients are those of the sum, or the other way around",
        next_step="divide by n in both, in none, or say which reduction the loss has",
        example="reduction: sum    # and a 1/n in every rule",
    ),
    Fault(
        Code.NOT_SUMMED,
        "not summed",
        cause="an input that is broadcast, such as a bias, has the sum of the gradients of all its "
        "copies",
        next_step="sum over the axes along which the input is broadcast",
        example="db = delta    # for delta.sum(0)",
    ),
    Fault(
        Code.RESHAPED,
        "the right values in another shape",
        cause="an axis of length 1 was lost or added",
        next_step="reshape the gradient to the shape of its input",
        example="(W.T @ delta).ravel()    # for an x of N×1",
    ),
    Fault(
        Code.OTHER_SHAPE,
        "another shape",
        cause="the gradient does not have the shape of its input",
        next_step="write down the shapes of the factors; the gradient has that of its input",
        example="X @ delta.T",
    ),
    Fault(
        Code.NOT_RETURNED,
        "not returned",
        cause="the backward returns nothing for this input",
        next_step="return a gradient for every input, or make it a constant",
        example="return dx    # for dx, dW",
    ),
    Fault(
        Code.NOT_FINITE,
        "not finite",
        cause="a division by zero, a log or an overflow, often at one entry",
        next_step="compute this entry by hand",
        example="delta / y    # where a y is 0",
    ),
    Fault(
        Code.NOT_REAL,
        "not real numbers",
        cause="the gradient is made in an array of another type, often one like an integer input",
        next_step="make it with dtype=float",
        example="dW = np.zeros_like(labels)",
    ),
    Fault(
        Code.CHANGES_ARGUMENTS,
        "arguments are changed in place",
        cause="an operation in place, such as *=, on an argument that others use after it",
        next_step="work on a copy",
        example="delta *= y > 0",
    ),
    Fault(
        Code.ANSWERS_DIFFERENTLY,
        "another answer when called again",
        cause="the backward adds to what an earlier call left, or draws at random",
        next_step="start from zeros in every call; pass what is drawn",
        example="self.dW += X.T @ delta",
    ),
    Fault(
        Code.NO_KNOWN_FAULT,
        "no known fault fits",
        cause="two slips at once, or one that the catalogue does not have",
        next_step="compute the worst entry by hand; where the errors are may tell which term",
        example="",
    ),
)

FAULTS: dict[str, Fault] = {fault.code: fault for fault in _ALL}


def describe_fault(
    code: Code, observation: str = "", fits: float | None = None, entries: int = 0
) -> Diagnosis:
    """The diagnosis of a fault; fits: max |a − explained| over the largest of `entries` entries."""
    fault, evidence = FAULTS[code], ""
    if fits is not None:
        agree = "exactly" if fits == 0 else f"to {fits:.0e} of the largest"
        evidence = f"so explained, {entries} of {entries} entries agree {agree}"
    return Diagnosis(code, fault.title, observation, evidence, fault.cause, fault.next_step, fits)
