"""The two model formats that are served: neither can carry code, and both are read from bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import orjson

from stackproof.errors import Corrupted, RefusedInput
from stackproof.roles.serving import Signature, TensorSpec

Matrix = np.ndarray[tuple[int, int], np.dtype[Any]]
Outputs = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


class Model(Protocol):
    """A loaded model. May be called from many threads."""

    @property
    def dtype(self) -> type[np.floating[Any]]: ...

    def predict(self, matrix: Matrix) -> Outputs:
        """`matrix`: rows by inputs, of `dtype`, missing as NaN. Each output by name, its rows first."""
        ...


def open_model(content: bytes, signature: Signature) -> Model:
    """Raises `Corrupted` when the bytes are no such model, `RefusedInput` when the signature differs."""
    return _FORMATS[signature.format](content, signature)


class XgboostModel:
    """A booster in xgboost's own JSON or UBJSON.

    Predicts with all of its trees, on one thread. The one output may have a column per class.
    """

    dtype = np.float32

    def __init__(self, content: bytes, signature: Signature) -> None:
        import xgboost

        # xgboost ends the whole process on an empty buffer, and reads older binary formats.
        if not content.startswith(b"{"):
            raise Corrupted("The model file is neither xgboost JSON nor UBJSON", got=_start_of(content))
        self._booster = xgboost.Booster()
        try:
            self._booster.load_model(bytearray(content))
            trees = orjson.loads(bytes(self._booster.save_raw("json")))
        except (xgboost.core.XGBoostError, orjson.JSONDecodeError) as fault:
            raise Corrupted("xgboost cannot read the model file", got=_first_line(fault)) from fault
        _check_trees(trees, self._booster.num_features())
        self._booster.set_param({"nthread": 1})
        self._check(signature)
        self._output = signature.outputs[0].name

    def predict(self, matrix: Matrix) -> Outputs:
        return {self._output: self._booster.inplace_predict(matrix, validate_features=False)}

    def _check(self, signature: Signature) -> None:
        names = [spec.name for spec in signature.inputs]
        stated = self._booster.feature_names
        if self._booster.num_features() != len(names) or (stated and list(stated) != names):
            raise RefusedInput(
                "The inputs of the signature are not the columns of the model",
                got=", ".join(names),
                allowed=", ".join(stated) if stated else f"{self._booster.num_features()} inputs",
            )
        if len(signature.outputs) != 1 or signature.outputs[0].datatype != "FP64":
            raise RefusedInput(
                "An xgboost model gives one output",
                got=", ".join(f"{spec.name} {spec.datatype}" for spec in signature.outputs),
                allowed="one output of datatype FP64",
            )


def _check_trees(model: Any, columns: int) -> None:
    """xgboost follows the indices of a tree unchecked, so that a wrong one ends the process."""
    booster = model["learner"]["gradient_booster"]
    content = booster.get("gbtree", booster).get("model", {})
    for number, tree in enumerate(content.get("trees", ())):
        if not _is_sound(tree, columns):
            raise Corrupted("A tree of the model points outside of itself", got=f"tree {number}")


def _is_sound(tree: Mapping[str, Sequence[int]], columns: int) -> bool:
    """Every walk from the root (node 0) stays in the tree, on known columns, and never comes back."""
    left, right, splits = tree["left_children"], tree["right_children"], tree["split_indices"]
    if not len(left) == len(right) == len(splits) > 0:
        return False
    nodes, seen, waiting = range(len(left)), {0}, [0]
    while waiting:
        node = waiting.pop()
        children = {left[node], right[node]}
        if children == {-1}:
            continue
        inside = all(child in nodes and child not in seen for child in children)
        if len(children) < 2 or not inside or not 0 <= splits[node] < columns:
            return False
        seen |= children
        waiting += children
    return True


class OnnxModel:
    """An ONNX graph that holds all of its data, on one thread.

    Takes either one tensor of all inputs as columns, or one [rows, 1] tensor per input by its name.
    An output "probability" that the graph lacks is the second column of its "probabilities", and
    "label" is its "output_label".
    """

    def __init__(self, content: bytes, signature: Signature) -> None:
        _refuse_external_data(content)
        self._session = _session(content)
        self.dtype = self._number_type()
        self._one_tensor = self._takes_one_tensor(signature)
        self._inputs = [spec.name for spec in signature.inputs]
        self._sources = [(spec.name, *self._source(spec)) for spec in signature.outputs]

    def predict(self, matrix: Matrix) -> Outputs:
        wanted = [source for _, source, _ in self._sources]
        found = self._session.run(wanted, self._feed(matrix))
        return {
            name: _flat(array if column is None else array[:, column])
            for (name, _, column), array in zip(self._sources, found, strict=True)
        }

    def _feed(self, matrix: Matrix) -> dict[str, Matrix]:
        if self._one_tensor:
            return {self._session.get_inputs()[0].name: matrix}
        return {name: matrix[:, index : index + 1] for index, name in enumerate(self._inputs)}

    def _number_type(self) -> type[np.floating[Any]]:
        types = {tensor.type for tensor in self._session.get_inputs()}
        known: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
        if len(types) != 1 or not types <= known.keys():
            raise RefusedInput(
                "The inputs of the ONNX graph have a type that is not served",
                got=", ".join(sorted(types)) or "no inputs",
                allowed=" or ".join(known) + ", the same for all inputs",
            )
        return known[types.pop()]

    def _takes_one_tensor(self, signature: Signature) -> bool:
        graph = self._session.get_inputs()
        names = {spec.name for spec in signature.inputs}
        if len(graph) == 1 and len(graph[0].shape) == 2 and graph[0].shape[1] in (len(names), None):
            return True
        if {tensor.name for tensor in graph} == names and len(graph) == len(signature.inputs):
            return False
        raise RefusedInput(
            "The inputs of the signature are not those of the ONNX graph",
            got=", ".join(sorted(names)),
            allowed=", ".join(f"{tensor.name} {tensor.shape}" for tensor in graph),
        )

    def _source(self, spec: TensorSpec) -> tuple[str, int | None]:
        graph = {tensor.name: tensor for tensor in self._session.get_outputs()}
        known: dict[str, tuple[str, int | None]] = {
            "probability": ("probabilities", 1),
            "label": ("output_label", None),
        }
        source, column = (spec.name, None) if spec.name in graph else known.get(spec.name, (spec.name, None))
        if source not in graph or not graph[source].type.startswith("tensor("):
            raise RefusedInput(
                f"The ONNX graph has no tensor for the output {spec.name!r}",
                allowed=", ".join(f"{tensor.name} {tensor.type}" for tensor in graph.values()),
            )
        return source, column


def _session(content: bytes) -> Any:
    import onnxruntime

    faults = onnxruntime.capi.onnxruntime_pybind11_state
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (
        faults.Fail,
        faults.InvalidArgument,
        faults.InvalidGraph,
        faults.InvalidProtobuf,
        faults.NotImplemented,
        faults.RuntimeException,
    ) as fault:
        raise Corrupted("ONNX Runtime cannot read the model file", got=_first_line(fault)) from fault


def _refuse_external_data(content: bytes) -> None:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as fault:
        raise Corrupted("The model file is not ONNX", got=_start_of(content)) from fault
    if not model.HasField("graph"):
        raise Corrupted("The model file holds no ONNX graph", got=_start_of(content))
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise RefusedInput(
                "The ONNX graph keeps data in another file",
                got=f"external data of the tensor {tensor.name!r}",
                allowed="a graph that holds all of its data",
                next_command="save it with onnx.save(model, file, save_as_external_data=False)",
            )


def _tensors(message: Any) -> Iterator[Any]:
    """Every TensorProto below the message, also those in subgraphs, functions and sparse tensors."""
    if message.DESCRIPTOR.full_name == "onnx.TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in [value] if hasattr(value, "DESCRIPTOR") else value:
            yield from _tensors(part)


def _flat(array: Any) -> Any:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or [""])[0][:200]


def _start_of(content: bytes) -> str:
    return f"{len(content)} bytes that start with {content[:12]!r}"


_FORMATS: Mapping[str, Callable[[bytes, Signature], Model]] = {"xgboost-json": XgboostModel, "onnx": OnnxModel}
FORMATS: Mapping[str, tuple[str, ...]] = {"xgboost-json": (".json", ".ubj"), "onnx": (".onnx",)}
"""The endings of file names that each format may have."""
