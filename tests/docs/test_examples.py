"""The layers of docs/examples, as people write them: right ones pass, and each bug is caught where
it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.command import Result

# By planted bug, the inputs whose gradients it spoils.
PLANTED = {
    "affine-bias-not-summed": "b",
    "affine-bias-averaged": "b",
    "affine-divided-by-n": "w",
    "relu-masked-by-delta": "x",
    "relu-in-place": "x",
    "affine-relu-without-relu": "x w b",
    "linear-without-transpose": "x",
    "conv-ignores-stride": "x w",
    "conv-bias-over-one-axis": "b",
    "conv-bias-of-last-image": "b",
    "conv-crops-to-minus-pad": "x",
    "max-pool-assigns": "x",
    "dropout-without-scale": "x",
    "dropout-without-mask": "x",
    "dropout-scaled-by-keep": "x",
    "embedding-assigns": "W",
    "embedding-adds-once": "W",
    "softmax-loss-diagonal-only": "x",
    "softmax-loss-without-mean": "x",
    "svm-loss-right-class-once": "x",
    "softmax-regression-l2-without-factor-2": "W",
    "softmax-regression-l2-forgotten": "W",
    "batchnorm-without-mean-term": "x",
    "batchnorm-without-variance-term": "x",
    "batchnorm-unbiased-variance": "x",
    "batchnorm-dgamma-of-input": "gamma",
    "layernorm-over-batch": "x",
    "layernorm-without-eps": "x",
    "linear-layer-bias-over-wrong-axis": "b",
    "linear-layer-without-bias-gradient": "b",
    "tanh-layer-derivative-at-input": "x",
    "two-layer-net-without-relu-mask": "W1 b1",
    "two-layer-net-regularizes-one-layer": "W1",
    "rnn-step-tanh-at-preactivation": "x prev_h Wx Wh b",
    "rnn-step-tanh-twice": "x prev_h Wx Wh b",
    "rnn-forgets-next-step": "x h0 Wx Wh b",
    "rnn-overwrites-weights": "Wx Wh b",
    "lstm-step-forgets-next-c": "x prev_h prev_c Wx Wh b",
    "lstm-step-overwrites-dc": "x prev_h prev_c Wx Wh b",
    "residual-jacobian-without-product-rule": "b",
    "chain-jacobian-without-next": "x",
    "chain-jacobian-with-one-too-many": "x",
    "rotate-jacobian-transposed": "x",
    "layer-jvp-without-term": "w identity",
    "layer-jvp-beside-a-wrong-backward": "w identity",
    "energy-hessian-without-outer": "x",
    "energy-hessian-asymmetric": "x identity",
    "energy-hvp-with-sum": "x identity",
    "mix-of-another-convention": "x W",
    "mix-as-if-real": "W",
    "phases-jacobian-conjugate": "z",
    "saturate-jvp-without-conjugate": "z",
    "cholesky-half": "A",
    "cholesky-diagonal-twice": "A",
    "square-root-eigenvalues-alone": "A",
    "entropy-of-log": "p",
    "procrustes-transposed": "Q",
    "log-determinant-of-factor": "L",
    "gamma-loss-sign": "x",
    "root-with-epsilon": "x",
    "growth-of-positive": "x",
    "layer-one-percent": "w",
    "square-overflows": "x",
}


@pytest.fixture(scope="module")
def checks(run_of_examples: Result) -> dict[str, Any]:
    return {check["id"]: check for check in json.loads(run_of_examples.stdout)["checks"]}


def wrong(check: Any) -> list[Any]:
    return [one for one in check["result"]["gradients"] if one["verdict"] == "fail"]


def test_the_run_of_all_examples_comes_out_as_expected_and_is_quiet(
    run_of_examples: Result,
) -> None:
    assert (run_of_examples.returncode, run_of_examples.stderr) == (0, "")


def test_every_right_layer_passes(checks: dict[str, Any]) -> None:
    right = [check for name, check in checks.items() if name not in PLANTED]
    assert len(right) == 54
    assert {check["result"]["verdict"] for check in right} == {"pass"}
    assert {check["expected"] for check in right} == {"pass"}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught_where_it_is(checks: dict[str, Any], name: str) -> None:
    assert checks[name]["expected"] == "fail"
    assert [gradient["name"] for gradient in wrong(checks[name])] == PLANTED[name].split()


@pytest.mark.parametrize(
    ("name", "code", "observation"),
    [
        ("affine-bias-not-summed", "GC141", "its sum over axis 0 is the numeric gradient"),
        ("affine-bias-averaged", "GC103", "it is 0.25 = 1/n times the numeric gradient"),
        ("affine-relu-without-relu", "GC131", "it is the gradient without the mask of units that"),
        ("linear-without-transpose", "GC106", "it is the gradient with w in the place of wᵀ"),
        ("conv-bias-of-last-image", "GC123", "it is the gradient for sample 1 of the upstream"),
        ("dropout-without-mask", "GC131", "it is the upstream gradient itself, as it came in, ti"),
        ("dropout-scaled-by-keep", "GC103", "it is 0.25 = keep² times the numeric gradient"),
        ("relu-masked-by-delta", "GC109", "the 6 wrong entries are all zero, the rest is right"),
        ("embedding-assigns", "GC139", "each entry is the term of the last output that it"),
        ("softmax-regression-l2-forgotten", "GC116", "it is the numeric gradient minus 0.2 = 2·r"),
        ("linear-layer-bias-over-wrong-axis", "GC142", "it is the sum of the upstream gradient ov"),
        ("tanh-layer-derivative-at-input", "GC132", "it is the gradient with z in the place of y"),
        ("rnn-step-tanh-twice", "GC132", "it is the gradient with f′(y) for f′(z), if y is a tanh"),
        ("lstm-step-forgets-next-c", "GC126", "it is the gradient for the upstream gradient with"),
        ("residual-jacobian-without-product-rule", "GC103", "it is 0.833333333 = 1/a times the"),
        ("chain-jacobian-without-next", "GC161", "1 nonzero is missing, at [3, 4]"),
        ("chain-jacobian-with-one-too-many", "GC161", "its pattern is another: 1 nonzero is too m"),
        ("phases-jacobian-conjugate", "GC163", "it is the complex conjugate of the numeric Jacob"),
        ("layer-one-percent", "GC103", "it is 1.01 times the numeric gradient"),
        ("cholesky-half", "GC138", "its entries off the diagonal are half the numeric gradient's"),
        ("cholesky-diagonal-twice", "GC138", "its diagonal is twice the numeric gradient's"),
    ],
)
def test_the_diagnosis_names_the_bug(
    checks: dict[str, Any], name: str, code: str, observation: str
) -> None:
    for gradient in wrong(checks[name]):
        found = gradient["diagnosis"]
        assert found["code"] == code
        assert found["observation"].startswith(observation)
        assert ".py:" in gradient["source"]


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        ("affine-bias-averaged", 1 / 4),
        ("affine-divided-by-n", 1 / 4),
        ("dropout-without-scale", 1 / 2),
        ("dropout-scaled-by-keep", 1 / 4),
        ("softmax-loss-without-mean", 5),
    ],
)
def test_the_ratio_gives_a_factor_away(checks: dict[str, Any], name: str, ratio: float) -> None:
    (gradient,) = wrong(checks[name])
    assert gradient["worst"]["ratio"] == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("affine-bias-not-summed", "∂L/∂b must be (3,); the backward gives 4×3"),
        ("conv-bias-over-one-axis", "∂L/∂b must be (3,); the backward gives 3×4×4"),
        ("max-pool-assigns", "4 of 100 entries are wrong"),
        ("embedding-assigns", "3 of 18 entries are wrong"),
        (
            "relu-in-place",
            "the backward changes the upstream gradient it was handed in place; let it work on a "
            "copy, or accept it by in_place: allowed",
        ),
    ],
)
def test_the_reason_says_what_is_wrong(checks: dict[str, Any], name: str, reason: str) -> None:
    (gradient,) = wrong(checks[name])
    assert gradient["reason"] == reason
