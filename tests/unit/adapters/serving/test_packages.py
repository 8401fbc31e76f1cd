"""Which model packages are served, which are refused, and which are called damaged."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from stackproof.adapters.serving.packages import load
from stackproof.adapters.serving.trial import load_safely
from stackproof.errors import Corrupted, RefusedInput
from stackproof.roles.serving import Signature, TensorSpec

ONE_INPUT = (TensorSpec("x", "FP64"),)
PROBABILITY = (TensorSpec("probability", "FP64"),)


@pytest.fixture
def small(small_package: Path, tmp_path: Path) -> Path:
    """A copy of the small ONNX package that a test may spoil."""
    return Path(shutil.copytree(small_package, tmp_path / "small"))


@pytest.fixture
def delays(delays_package: Path, tmp_path: Path) -> Path:
    """A copy of the xgboost package that a test may spoil."""
    return Path(shutil.copytree(delays_package, tmp_path / "delays"))


def change_signature(package: Path, **changes: Any) -> None:
    path = package / "signature.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_model(package: Path, change: Callable[[Any], None]) -> None:
    """Edit the first tree of an xgboost model."""
    path = package / "model.json"
    model = json.loads(path.read_text())
    change(model["learner"]["gradient_booster"]["model"]["trees"][0])
    path.write_text(json.dumps(model))


def save_graph(package: Path, model: onnx.ModelProto, outputs: tuple[TensorSpec, ...] = PROBABILITY) -> Path:
    package.mkdir()
    (package / "model.onnx").write_bytes(model.SerializeToString())
    Signature("onnx", "model.onnx", ONE_INPUT, outputs).write(package)
    return package


def graph(
    nodes: list[Any], outputs: list[Any], initializers: list[Any], kind: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", kind, [None, 1])]
    made = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def external(name: str) -> Any:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def test_the_small_model_predicts_what_its_formula_says(small: Path) -> None:
    (package,) = load_safely([small])
    found = package.model.predict(np.array([[0.0], [1.5], [-2.0]], dtype=np.float32))
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-(np.array([0.0, 1.5, -2.0]) + 0.5))), rtol=1e-6)


def test_ubjson_and_json_predict_the_same(delays: Path) -> None:
    import xgboost

    matrix = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    from_json = load(delays).model.predict(matrix)["probability"]
    booster = xgboost.Booster(model_file=delays / "model.json")
    booster.save_model(delays / "model.ubj")
    change_signature(delays, file="model.ubj")
    np.testing.assert_array_equal(load(delays).model.predict(matrix)["probability"], from_json)


def test_categorical_codes_go_into_categorical_splits(tmp_path: Path) -> None:
    import xgboost

    random = np.random.default_rng(0)
    codes = random.integers(0, 4, size=(400, 1)).astype(float)
    odd = (codes[:, 0] % 2).astype(int)
    data = xgboost.DMatrix(codes, odd, feature_types=["c"], enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "max_cat_to_onehot": 1, "nthread": 1}, data, 10)
    booster.save_model(tmp_path / "model.json")
    inputs = (TensorSpec("kind", "BYTES", ("a", "b", "c", "d")),)
    Signature("xgboost-json", "model.json", inputs, PROBABILITY).write(tmp_path)
    found = load(tmp_path).model.predict(np.array([[0.0], [1], [2], [3], [np.nan]], dtype=np.float32))["probability"]
    assert (found[:4] > 0.5).tolist() == [False, True, False, True]


def test_a_scikit_learn_classifier_gives_its_label_and_positive_class(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    columns = random.normal(size=(200, 2)).astype(np.float32)
    model = LogisticRegression().fit(columns, columns[:, 0] > 0)
    converted = to_onnx(model, columns[:1], options={"zipmap": False})
    (tmp_path / "model.onnx").write_bytes(converted.SerializeToString())
    inputs = (TensorSpec("a", "FP64"), TensorSpec("b", "FP64"))
    Signature("onnx", "model.onnx", inputs, PROBABILITY).write(tmp_path)
    found = load(tmp_path).model.predict(columns)["probability"]
    np.testing.assert_allclose(found, model.predict_proba(columns)[:, 1], atol=1e-5)


def test_a_graph_with_a_tensor_per_input_is_fed_by_name(tmp_path: Path) -> None:
    inputs = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in ("b", "a")]
    output = helper.make_tensor_value_info("probability", TensorProto.DOUBLE, [None, 1])
    made = helper.make_graph([helper.make_node("Sub", ["a", "b"], ["probability"])], "g", inputs, [output])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    Signature("onnx", "model.onnx", (TensorSpec("a", "FP64"), TensorSpec("b", "FP64")), PROBABILITY).write(tmp_path)
    package = load(tmp_path)
    assert package.model.predict(np.array([[5.0, 3.0]]))["probability"].tolist() == [2.0]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../model.onnx",
        "a/model.onnx",
        "..\\model.onnx",
        "C:model.onnx",
        "model.onnx\0.json",
        *("model.pkl", "model.joblib", "model.pt", "model.h5", "model", "model.onnx.pkl"),
        *(7, None, ["model.onnx"]),
    ],
)
def test_a_model_file_that_leaves_the_package_or_has_another_ending_is_refused(small: Path, name: object) -> None:
    change_signature(small, file=name)
    with pytest.raises(RefusedInput, match="model file"):
        load(small)


@pytest.mark.parametrize("kind", ["pickle", "sklearn", "", "xgboost", "ONNX", "torch", None])
def test_a_format_that_is_not_served_is_refused(small: Path, kind: object) -> None:
    change_signature(small, format=kind)
    with pytest.raises(RefusedInput, match="format"):
        load(small)


def test_a_link_instead_of_a_file_is_refused(small: Path) -> None:
    for name, error in (("model.onnx", "symbolic link"), ("signature.json", "plain file")):
        (small / name).rename(small.parent / name)
        (small / name).symlink_to(small.parent / name)
        with pytest.raises(RefusedInput, match=error):
            load(small)
        (small / name).unlink()
        (small.parent / name).rename(small / name)
    assert load(small)


def test_a_pipe_or_a_folder_instead_of_a_file_is_refused_without_waiting(small: Path) -> None:
    (small / "model.onnx").unlink()
    os.mkfifo(small / "model.onnx")
    with pytest.raises(RefusedInput, match="plain file"):
        load(small)
    (small / "model.onnx").unlink()
    (small / "model.onnx").mkdir()
    with pytest.raises((RefusedInput, Corrupted)):
        load(small)


def test_a_package_without_its_parts_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match=r"signature\.json"):
        load(tmp_path / "nothing")
    (small / "model.onnx").unlink()
    with pytest.raises(Corrupted, match=r"model\.onnx"):
        load(small)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"7", b"{}", b'{"format": 1}', b"null"]
)
def test_a_signature_that_is_none_is_refused_or_damaged(small: Path, text: bytes) -> None:
    (small / "signature.json").write_bytes(text)
    with pytest.raises((RefusedInput, Corrupted), match=r"signature\.json"):
        load(small)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"inputs": []}, "no input"),
        ({"outputs": []}, "no output"),
        ({"inputs": [{"name": "x", "datatype": "FP16"}]}, "FP16"),
        ({"inputs": [{"name": "x", "datatype": "BYTES"}]}, "categories"),
        ({"inputs": [{"name": "x", "datatype": "BYTES", "categories": ["a", "a"]}]}, "twice"),
        ({"inputs": [{"name": "x", "datatype": "FP64"}] * 2}, "named 'x'"),
        ({"outputs": [{"name": "probability", "datatype": "INT64"}]}, "INT64"),
        ({"outputs": [{"name": "other", "datatype": "FP64"}]}, "other"),
        ({"inputs": [{"name": n, "datatype": "FP64"} for n in "xy"]}, "inputs"),
    ],
)
def test_a_signature_that_does_not_fit_its_model_is_refused(small: Path, changes: Any, fault: str) -> None:
    change_signature(small, **changes)
    with pytest.raises(RefusedInput, match=fault):
        load(small)


def test_inputs_that_are_not_the_columns_of_the_booster_are_refused(delays: Path) -> None:
    inputs = json.loads((delays / "signature.json").read_text())["inputs"]
    change_signature(delays, inputs=inputs[:-1])
    with pytest.raises(RefusedInput, match="columns of the model"):
        load(delays)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04.", b"{", b"{}", b'{"learner": {}}', b"PK\x03\x04", b"[1]", b"\0" * 99]
)
@pytest.mark.parametrize("kind", ["small", "delays"])
def test_a_model_file_that_is_no_model_is_damaged(kind: str, content: bytes, request: pytest.FixtureRequest) -> None:
    package: Path = request.getfixturevalue(kind)
    (model,) = package.glob("model.*")
    model.write_bytes(content)
    with pytest.raises(Corrupted):
        load(package)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["small", "delays"])
def test_a_model_file_that_was_cut_off_is_damaged(kind: str, kept: float, request: pytest.FixtureRequest) -> None:
    package: Path = request.getfixturevalue(kind)
    (model,) = package.glob("model.*")
    content = model.read_bytes()
    model.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(Corrupted):
        load(package)


def test_a_model_that_ends_the_process_which_reads_it_is_found_by_another_process(delays: Path, small: Path) -> None:
    change_model(delays, lambda tree: tree.update(parents=[-5] * len(tree["parents"])))
    with pytest.raises(Corrupted, match="delays"):
        load_safely([small, delays])


@pytest.mark.parametrize(
    ("key", "node", "value"),
    [("left_children", 0, 9_999), ("right_children", 0, 0), ("left_children", 0, -1), ("split_indices", 0, 7)],
)
def test_a_tree_that_points_elsewhere_is_damaged(delays: Path, key: str, node: int, value: int) -> None:
    change_model(delays, lambda tree: tree[key].__setitem__(node, value))
    with pytest.raises(Corrupted):
        load(delays)


def test_a_pruned_tree_is_served(tmp_path: Path) -> None:
    import xgboost

    random = np.random.default_rng(0)
    columns = random.normal(size=(300, 2))
    parameters = {"updater": "grow_colmaker,prune", "gamma": 3.0, "nthread": 1, "verbosity": 0}
    parameters["objective"] = "binary:logistic"
    booster = xgboost.train(parameters, xgboost.DMatrix(columns, random.random(300) < 0.5), 5)
    booster.save_model(tmp_path / "model.json")
    assert re.search('"num_deleted":"[1-9]', (tmp_path / "model.json").read_text())
    inputs = (TensorSpec("a", "FP64"), TensorSpec("b", "FP64"))
    Signature("xgboost-json", "model.json", inputs, PROBABILITY).write(tmp_path)
    assert load(tmp_path)


def test_a_graph_with_data_in_another_file_is_refused(tmp_path: Path) -> None:
    output = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])]
    add = [helper.make_node("Add", ["x", "w"], ["probability"])]
    with pytest.raises(RefusedInput, match="another file"):
        load(save_graph(tmp_path / "initializer", graph(add, output, [external("w")])))
    constant = [helper.make_node("Constant", [], ["w"], value=external("w")), *add]
    with pytest.raises(RefusedInput, match="another file"):
        load(save_graph(tmp_path / "attribute", graph(constant, output, [])))
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "b", [], [], [external("w")])
    choice = [helper.make_node("If", ["c"], ["probability"], then_branch=branch, else_branch=branch)]
    with pytest.raises(RefusedInput, match="another file"):
        load(save_graph(tmp_path / "subgraph", graph(choice, output, [])))


def test_a_graph_of_texts_or_with_an_unknown_operator_is_not_served(tmp_path: Path) -> None:
    texts = [helper.make_tensor_value_info("probability", TensorProto.STRING, [None, 1])]
    same = [helper.make_node("Identity", ["x"], ["probability"])]
    with pytest.raises(RefusedInput, match="string"):
        load(save_graph(tmp_path / "texts", graph(same, texts, [], TensorProto.STRING)))
    floats = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])]
    custom = [helper.make_node("Run", ["x"], ["probability"], domain="attacker.example")]
    with pytest.raises(Corrupted):
        load(save_graph(tmp_path / "custom", graph(custom, floats, [])))
