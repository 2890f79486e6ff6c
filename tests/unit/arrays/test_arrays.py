"""Input arrays: streams of their own, inline lists, files; what is refused says why."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from gradcheck_cli.arrays import DISTRIBUTIONS, Drawn, Given, inline_shape, read_file
from gradcheck_cli.errors import ArrayError


def test_an_array_is_keyed_by_its_name_and_its_seed() -> None:
    first = Drawn().array("x", (4, 3), 0)
    np.testing.assert_array_equal(first, Drawn().array("x", (4, 3), 0))
    for other in (Drawn().array("delta", (4, 3), 0), Drawn().array("x", (4, 3), 1)):
        assert not np.any(first == other)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_is_what_it_says(distribution: str) -> None:
    drawn = Drawn(distribution).array("t", (50, 4), 0)
    assert drawn.shape == (50, 4)
    holds = {
        "normal": abs(drawn.mean()) < 0.3 < drawn.std(),
        "uniform": bool(np.all(np.abs(drawn) <= 1)),
        "one-hot": bool(np.all(drawn.sum(1) == 1) and set(np.unique(drawn)) == {0, 1}),
        "sign": set(np.unique(drawn)) == {-1, 1},
        "zeros": not drawn.any(),
        "ones": bool(np.all(drawn == 1)),
        "integers": drawn.dtype.kind == "i" and set(np.unique(drawn)) == {0, 1},
        "mask": set(np.unique(drawn)) == {0.0, 1.0},
    }
    assert holds[distribution]


def test_a_column_is_one_sample_of_a_one_hot_target() -> None:
    assert Drawn("one-hot").array("t", (5, 1), 0).sum() == 1


@pytest.mark.parametrize("shape", [(), (5,), (3, 1), (1, 3), (2, 3, 4), (2, 3, 1)])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_has_every_shape(distribution: str, shape: tuple[int, ...]) -> None:
    assert Drawn(distribution).array("x", shape, 0).shape == shape


@pytest.mark.parametrize(
    ("shape", "ones"),
    [((), 1), ((5,), 1), ((5, 1), 1), ((4, 3), 4), ((2, 4, 3), 8), ((2, 3, 1), 2)],
)
def test_one_hot_has_a_one_for_every_sample(shape: tuple[int, ...], ones: int) -> None:
    assert Drawn("one-hot").array("x", shape, 0).sum() == ones


def test_given_values_are_copied() -> None:
    values = np.ones(3)
    Given(values).array("x", (3,), 0)[0] = 7
    assert values.tolist() == [1, 1, 1]


def test_scale_and_offset() -> None:
    plain = Drawn().array("x", (3,), 0)
    np.testing.assert_array_equal(Drawn("normal", 10.0, 2.0).array("x", (3,), 0), 10 * plain + 2)


def test_one_number_fills_an_array() -> None:
    np.testing.assert_array_equal(Given(0.5).array("t", (2, 1), 0), [[0.5], [0.5]])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "an array needs at least one number"),
        ([[1], []], "an array needs at least one number"),
        ([[1, 2], [3]], "the rows differ: row 0 is of shape (2,), row 1 of (1,)"),
        ([1, [2]], "the rows differ: row 0 is of shape a single number, row 1 of (1,)"),
        (["a"], "an array holds numbers, not 'a'"),
        ([True], "an array holds numbers, not True"),
        ([None], "an array holds numbers, not nothing"),
        ([10**400], "an array holds numbers of float64; this one is too large"),
    ],
)
def test_lists_that_are_no_array(values: list[object], sentence: str) -> None:
    with pytest.raises(ArrayError) as raised:
        inline_shape(values)
    assert str(raised.value) == sentence


def test_npy_and_csv_are_read(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "a.npy", array.astype(np.int32))
    np.savetxt(tmp_path / "a.csv", array, delimiter=",")
    np.testing.assert_array_equal(read_file(tmp_path / "a.npy"), array)
    np.testing.assert_array_equal(read_file(tmp_path / "a.csv"), array)


class Marker:
    """Unpickling it would leave a trace."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('the pickle ran')",)


def test_pickles_are_refused_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([Marker()], dtype=object), allow_pickle=True)
    with pytest.raises(ArrayError, match="a pickle"):
        read_file(path)
    bare = tmp_path / "bare.npy"
    bare.write_bytes(pickle.dumps(Marker()))
    with pytest.raises(ArrayError, match="a pickle"):
        read_file(bare)


def broken_files(folder: Path) -> dict[str, str]:
    np.save(folder / "complex.npy", np.ones(2, dtype=complex))
    np.save(folder / "text.npy", np.array(["a"]))
    np.save(folder / "nan.npy", np.array([[1.0, np.nan]]))
    np.savez(folder / "archive", a=np.ones(2))
    (folder / "archive.npz").rename(folder / "archive.npy")
    np.save(folder / "cut.npy", np.ones(100))
    whole = (folder / "cut.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:200])
    (folder / "empty.npy").write_bytes(b"")
    called = whole[:10] + b"{'descr': '<f8', 'fortran_order': open('a', 'w'), 'shape': (2,)}"
    (folder / "called.npy").write_bytes(called.ljust(127) + whole[127:])
    (folder / "empty.csv").write_text("")
    (folder / "words.csv").write_text("a,b\n1,2\n")
    (folder / "ragged.csv").write_text("1,2\n3\n")
    (folder / "nan.csv").write_text("1,nan\n")
    (folder / "folder.npy").mkdir()
    return {
        "complex.npy": "holds complex128 values; real numbers are needed",
        "text.npy": "real numbers are needed",
        "nan.npy": "is not finite at [0, 1]",
        "archive.npy": "is an archive; save one array with numpy.save",
        "cut.npy": "is not a .npy file",
        "empty.npy": "is not a .npy file",
        "called.npy": "is not a .npy file",
        "empty.csv": "holds no numbers",
        "words.csv": "line 1, cell 1 must be a number; a header line must go",
        "ragged.csv": "has 1 numbers in line 2, but 2 in line 1",
        "nan.csv": "is not finite at [0, 1]",
        "folder.npy": "cannot read",
        "missing.csv": "cannot read",
    }


SECRET = "AAA_TOKEN=5up3r53cr3t"


@pytest.mark.parametrize("text", [f"{SECRET}\0PATH=/bin\0", f"1,2\n3,{SECRET}\n", f"1\n2,{SECRET}"])
def test_what_a_csv_holds_is_never_quoted(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ArrayError) as raised:
        read_file(tmp_path / "a.csv")
    assert "AAA" not in str(raised.value)
    assert "must be a number" in str(raised.value)


@pytest.mark.parametrize("name", ["a.csv", "a.npy"])
def test_a_sparse_file_of_gigabytes_is_not_read(name: str, tmp_path: Path) -> None:
    with open(tmp_path / name, "wb") as file:
        file.truncate(8 * 2**30)
    with pytest.raises(ArrayError, match="is larger than"):
        read_file(tmp_path / name)


def test_each_broken_file_has_its_sentence(tmp_path: Path) -> None:
    for name, sentence in broken_files(tmp_path).items():
        with pytest.raises(ArrayError) as raised:
            read_file(tmp_path / name)
        assert sentence in str(raised.value), name
        assert name in str(raised.value)
