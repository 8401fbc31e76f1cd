import ast

from hypothesis import given
from hypothesis import strategies as st

from stackproof.adapters.orchestration.metaflow_flow import source_of, step_name
from stackproof.adapters.orchestration.metaflow_shape import Parallel, Series, Shape, shape_of
from stackproof.roles.orchestration import Task


def task(name: str, *after: str) -> Task:
    return Task(name, lambda: None, after)


@st.composite
def pipelines(draw: st.DrawFn) -> list[Task]:
    """Each task after those that it names."""
    size = draw(st.integers(1, 12))
    names = [f"t{number}" for number in range(size)]
    after = [draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else [] for number in range(size)]
    return [task(name, *before) for name, before in zip(names, after, strict=True)]


def tasks_of(shape: Shape) -> list[Task]:
    return [shape] if isinstance(shape, Task) else [one for part in shape.parts for one in tasks_of(part)]


def waits(shape: Shape, before: frozenset[str] = frozenset()) -> dict[str, frozenset[str]]:
    """For each task, those that have ended when it begins."""
    if isinstance(shape, Task):
        return {shape.name: before}
    found: dict[str, frozenset[str]] = {}
    for part in shape.parts:
        found |= waits(part, before)
        if isinstance(shape, Series):
            before |= {one.name for one in tasks_of(part)}
    return found


@given(pipelines())
def test_each_task_is_there_once_and_begins_after_those_that_it_names(order: list[Task]) -> None:
    shape = shape_of(order)
    assert sorted(one.name for one in tasks_of(shape)) == sorted(one.name for one in order)
    begun_after = waits(shape)
    assert all(begun_after[one.name] >= set(one.after) for one in order)


def test_branches_that_have_nothing_in_common_do_not_wait_for_each_other() -> None:
    order = [task("a"), task("c"), task("b", "a"), task("d", "c")]
    assert shape_of(order) == Parallel((Series((order[0], order[2])), Series((order[1], order[3]))))


def test_what_one_task_begins_and_one_ends_is_a_split_and_a_join() -> None:
    load, features, check, train, report = order = [
        task("load"),
        task("features", "load"),
        task("check", "load"),
        task("train", "features"),
        task("report", "train", "check"),
    ]
    assert shape_of(order) == Series((load, Parallel((Series((features, train)), check)), report))


def test_an_order_that_is_no_split_and_join_waits_for_more() -> None:
    order = [task("a"), task("b"), task("c", "a"), task("d", "a", "b")]
    assert waits(shape_of(order))["c"] == {"a", "b"}


def test_a_long_chain_has_a_shape() -> None:
    order = [task("t0"), *(task(f"t{number}", f"t{number - 1}") for number in range(1, 300))]
    assert shape_of(order) == Series(tuple(order))


@given(pipelines())
def test_a_join_goes_to_one_step_and_each_step_is_written_once(order: list[Task]) -> None:
    (flow,) = [node for node in ast.parse(source_of("flights", order)).body if isinstance(node, ast.ClassDef)][2:]
    steps = [node for node in flow.body if isinstance(node, ast.FunctionDef)]
    names = [step.name for step in steps]
    assert len(names) == len(set(names))
    assert {one.name for one in order} | {"start", "end"} <= set(names)
    for step in steps:
        if len(step.args.args) == 2:
            (call,) = [node for node in ast.walk(step) if isinstance(node, ast.Call)]
            assert len(call.args) == 1


@given(st.lists(st.text(max_size=20) | st.sampled_from(["start", "end", "join_1", "split_2", "class"]), unique=True))
def test_the_names_of_steps_are_those_that_metaflow_takes_and_no_two_are_the_same(names: list[str]) -> None:
    steps = [step_name(name) for name in names]
    assert len(set(steps)) == len(steps)
    assert all(step.isidentifier() and step == step.lower() and step.isascii() and step[0] != "_" for step in steps)
    assert not {"start", "end", "class"} & set(steps)


def test_text_that_is_a_program_stays_text() -> None:
    source = source_of("'''\nraise SystemExit", [task('"""\nimport os\n\\'), task("{x}", '"""\nimport os\n\\')])
    (flow,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)][2:]
    assert ast.get_docstring(flow, clean=False) == "'''\nraise SystemExit"
