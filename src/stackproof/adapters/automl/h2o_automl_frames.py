"""A table in H2O: as it would be there by H2O's own import, so that its users find names and categories in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stackproof.adapters.automl.columns import Examples
from stackproof.roles.automl import Problem

TEXTS = ("false", "true")
PLAIN = " _-.()"


@dataclass(frozen=True, slots=True)
class Loaded:
    """`labels`: of the features in H2O, in the matrix's order. `categories`: for each of them ours, in the order of
    their codes; empty for numbers. `codes`: our code of H2O's first category, of its second and so on. `means`: what
    H2O takes for a missing number, and the code of what it takes for a missing category.
    """

    key: str
    target: str
    labels: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    codes: tuple[tuple[int, ...], ...]
    means: tuple[float, ...]

    @property
    def frame(self) -> Any:
        return import_module("h2o").get_frame(self.key)


def load(examples: Examples, target: str, problem: Problem, folder: Path, key: str) -> Loaded:
    """Put all rows into H2O's memory under `key`. The file between is removed again."""
    h2o, parquet = import_module("h2o"), import_module("pyarrow.parquet")
    labels = [_label(spec.name) for spec in examples.features]
    columns = dict(zip(labels, _columns(examples), strict=True)) | {_label(target): _target(examples, problem)}
    file = folder / f"{key}.parquet"
    table = import_module("pyarrow").table(columns)
    parquet.write_table(table, file, compression="none", version="1.0", use_dictionary=False, store_schema=False)
    texts = [label for label, spec in zip(labels, examples.features, strict=True) if spec.categories]
    texts += [_label(target)] if problem is Problem.BINARY else []
    try:
        h2o.import_file(str(file), destination_frame=key, col_types=dict.fromkeys(texts, "enum"))
    finally:
        file.unlink()
    codes = tuple(_codes(examples, key))
    categories = tuple(spec.categories for spec in examples.features)
    return Loaded(key, _label(target), tuple(labels), categories, codes, tuple(_means(examples, codes)))


def _columns(examples: Examples) -> Iterator[Any]:
    numpy, pyarrow = import_module("numpy"), import_module("pyarrow")
    for position, spec in enumerate(examples.features):
        values = examples.matrix[:, position]
        missing = numpy.isnan(values)
        if not spec.categories:
            yield pyarrow.array(values, mask=missing)
            continue
        codes = pyarrow.array(numpy.where(missing, 0, values).astype("int64"), mask=missing)
        yield pyarrow.array(spec.categories).take(codes)


def _target(examples: Examples, problem: Problem) -> Any:
    pyarrow = import_module("pyarrow")
    if problem is Problem.REGRESSION:
        return pyarrow.array(examples.target)
    return pyarrow.array(TEXTS).take(pyarrow.array(examples.target.astype("int64")))


def _codes(examples: Examples, key: str) -> Iterator[tuple[int, ...]]:
    """H2O has an order of its own for categories."""
    told = import_module("h2o").api(f"GET /3/Frames/{key}/summary", data={"column_count": -1})["frames"][0]["columns"]
    for spec, column in zip(examples.features, told, strict=False):
        ours = {category: code for code, category in enumerate(spec.categories)}
        yield tuple(ours[category] for category in column["domain"] or ()) if spec.categories else ()


def _means(examples: Examples, codes: tuple[tuple[int, ...], ...]) -> Iterator[float]:
    """The most frequent category, of equally frequent ones H2O's first; the mean of numbers."""
    numpy = import_module("numpy")
    for position, theirs in enumerate(codes):
        values = examples.matrix[:, position]
        if theirs:
            yield float(max(theirs, key=lambda code: int((values == code).sum())))
        else:
            yield float(numpy.nanmean(values))


def _label(name: str) -> str:
    """A column's name as H2O can keep it: it reads quotes and commas in names as signs of its own."""
    return "".join(c if c.isalnum() or c in PLAIN else quote(c, safe="") for c in name) or "%"
