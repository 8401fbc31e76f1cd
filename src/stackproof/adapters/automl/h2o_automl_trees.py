"""The trees of a model of H2O, as its API tells them, in the form of ONNX's `TreeEnsemble`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from stackproof.adapters.automl.h2o_automl_frames import Loaded

LESS, MEMBER = 1, 6


@dataclass(frozen=True, slots=True)
class Split:
    """Rows whose `feature` is below `value`, or for the mode MEMBER one of `members`, take the first way, the others
    the second; a missing value takes the first when `missing_first`. The modes are ONNX's numbers.
    """

    feature: int
    mode: int
    value: float = 0.0
    members: tuple[int, ...] = ()
    missing_first: bool = False


@dataclass(slots=True)
class Ensemble:
    """The lists of ONNX's `TreeEnsemble`: of splits, of leaves, and the first split of each tree."""

    modes: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    missing_first: list[int] = field(default_factory=list)
    ways: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    is_leaf: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    members: list[float] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def add(self, tree: Mapping[str, Any], loaded: Loaded) -> None:
        """`tree`: one of `trees_of`."""
        self.roots.append(len(self.modes))
        lefts, rights = tree["left_children"], tree["right_children"]
        if lefts[0] == -1:  # a tree of one leaf: ONNX has none, so both ways lead to it
            self._append(Split(0, LESS))
            for way in range(2):
                self._lead(self.roots[-1], way, tree, 0)
            return
        waiting = [(0, self._append(_split_at(tree, 0, loaded)))]
        while waiting:
            node, place = waiting.pop()
            for way, child in enumerate((lefts[node], rights[node])):
                if lefts[child] == -1:
                    self._lead(place, way, tree, child)
                else:
                    self.ways[way][place] = self._append(_split_at(tree, child, loaded))
                    waiting.append((child, self.ways[way][place]))

    def _append(self, split: Split) -> int:
        self.modes.append(split.mode)
        self.features.append(split.feature)
        self.values.append(split.value)
        self.missing_first.append(int(split.missing_first))
        if split.mode == MEMBER:
            self.members += [*map(float, split.members), math.nan]
        for way in range(2):
            self.ways[way].append(0)
            self.is_leaf[way].append(0)
        return len(self.modes) - 1

    def _lead(self, place: int, way: int, tree: Mapping[str, Any], leaf: int) -> None:
        self.ways[way][place], self.is_leaf[way][place] = len(self.leaves), 1
        self.leaves.append(float(tree["predictions"][leaf]))


def trees_of(model: str, count: int) -> Iterator[Mapping[str, Any]]:
    """Each tree as H2O tells it, with the places of children in its lists: H2O gives numbers of its own for them,
    and lists nodes level by level.
    """
    h2o = import_module("h2o")
    for number in range(count):
        asked = {"model": model, "tree_number": number, "plain_language_rules": "false"}
        tree = h2o.api("GET /3/Tree", data=asked)
        place = 0
        for node in range(len(tree["features"])):
            for children in (tree["left_children"], tree["right_children"]):
                if children[node] != -1:
                    place += 1
                    children[node] = place
        yield tree


def _split_at(tree: Mapping[str, Any], node: int, loaded: Loaded) -> Split:
    """What one node of H2O's asks."""
    name, threshold, missing_left = tree["features"][node], float(tree["thresholds"][node]), tree["nas"][node] == "LEFT"
    feature = loaded.labels.index(name)
    codes, levels = loaded.codes[feature], tree["levels"][tree["left_children"][node]]
    others = tree["levels"][tree["right_children"][node]]
    if codes and (levels is not None or others is not None):
        return _group_split(feature, [codes[level] for level in levels or ()], missing_left)
    if codes and not math.isnan(threshold):
        return _group_split(feature, [codes[n] for n in range(len(codes)) if n < threshold], missing_left)
    if math.isnan(threshold):  # it parts missing values from all others
        threshold = -math.inf if missing_left else math.inf
    return Split(feature, LESS, threshold, missing_first=missing_left)


def _group_split(feature: int, members: Sequence[int], missing_left: bool) -> Split:
    if not members:
        return Split(feature, LESS, -math.inf, missing_first=missing_left)
    return Split(feature, MEMBER, members=tuple(sorted(members)), missing_first=missing_left)
