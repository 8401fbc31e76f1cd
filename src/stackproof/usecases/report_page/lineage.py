"""What a prediction rests on, as a graph of few columns: from the ledger's lineage to nodes and edges."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stackproof.ledger import Entity, Lineage, Link, Relation
from stackproof.usecases.pages.numbers import percent, short_id, thousands
from stackproof.usecases.report_page.page import Edge, Graph, Node

MOST_IN_COLUMN = 7
_AFTER_DATA = {"features": 0, "code": 0, "env": 0, "run": 1, "model": 2, "deployment": 3, "prediction": 4}
_HEADINGS = ("Features, code, environment", "Run", "Model version", "Deployment", "Prediction")
_MOST_DATA_COLUMNS = 2


def graph_of(lineage: Lineage, prediction_id: str) -> Graph:
    """The part of a lineage that a picture can show.

    Datasets stand in one column, or two when some are derived from others. A link that a longer way
    says already is left out; so are kinds without a column, which are counted in `elsewhere`.
    A full column's last node stands for the rest.
    """
    entities = {entity.id: entity for entity in lineage.entities}
    links = [*lineage.links, *_implied(entities)]
    path = _upstream_of(prediction_id, [link for link in links if link.relation is not Relation.DEPLOYED_AS])
    depth = _data_depth(entities, links)
    first = min(max(depth.values(), default=0), _MOST_DATA_COLUMNS - 1) + 1
    columns = {id: min(depth[id], first - 1) for id in depth}
    columns |= {e.id: first + _AFTER_DATA[e.kind] for e in entities.values() if e.kind in _AFTER_DATA}
    nodes = [_node(entities[id], column, id in path, links) for id, column in columns.items()]
    edges = _reduced(
        {(link.target, link.source) for link in links if {link.source, link.target} <= set(columns)}, columns
    )
    headings = (("Datasets",) if first == 1 else ("Source data", "Derived data")) + _HEADINGS
    drawn = Graph(
        headings,
        tuple(sorted(nodes, key=_order)),
        tuple(Edge(up, down, up in path and down in path) for up, down in sorted(edges)),
        dict(Counter(e.kind for e in entities.values() if e.id not in columns)),
    )
    return _without_empty_columns(_folded(drawn))


def _implied(entities: Mapping[str, Entity]) -> Iterable[Link]:
    """A feature view's definition names its source dataset."""
    names = {_named(entity): entity.id for entity in entities.values() if entity.kind == "data"}
    for entity in entities.values():
        definition: Any = entity.attributes.get("definition")
        if entity.kind == "features" and isinstance(definition, Mapping) and definition.get("source") in names:
            yield Link(entity.id, Relation.DERIVED_FROM, names[definition["source"]])


def _upstream_of(start: str, links: Sequence[Link]) -> set[str]:
    targets: dict[str, list[str]] = {}
    for link in links:
        targets.setdefault(link.source, []).append(link.target)
    seen, frontier = {start}, [start]
    while frontier:
        frontier = [target for id in frontier for target in targets.get(id, ()) if target not in seen]
        seen.update(frontier)
    return seen


def _data_depth(entities: Mapping[str, Entity], links: Sequence[Link]) -> dict[str, int]:
    """For each dataset version how many derivations lie behind it. A cycle, which no ledger should have, ends."""
    data = {id for id, entity in entities.items() if entity.kind == "data"}
    sources: dict[str, list[str]] = {}
    for link in links:
        if link.source in data and link.target in data:
            sources.setdefault(link.source, []).append(link.target)
    depth = dict.fromkeys(sorted(data), 0)
    for _ in range(len(data)):
        deeper = {id: max((depth[s] + 1 for s in sources.get(id, ())), default=0) for id in depth}
        if deeper == depth:
            break
        depth = {id: min(value, len(data)) for id, value in deeper.items()}
    return depth


def _node(entity: Entity, column: int, on_path: bool, links: Sequence[Link]) -> Node:
    return Node(entity.id, entity.kind, _named(entity), _detail(entity, links), column, on_path, entity.at)


def _named(entity: Entity) -> str:
    facts = entity.attributes
    match entity.kind:
        case "run":
            return str(facts.get("pipeline") or "run")
        case "code":
            return "code"
        case "env":
            return "environment"
        case "model":
            return f"version {facts.get('version', '?')}"
        case "prediction":
            return "prediction"
        case _:
            return str(facts.get("name") or entity.id.partition(":")[2].partition("@")[0])


def _detail(entity: Entity, links: Sequence[Link]) -> str:
    facts: Any = entity.attributes
    match entity.kind:
        case "data":
            return f"{thousands(facts['rows'])} rows" if isinstance(facts.get("rows"), int) else ""
        case "run":
            return f"{len(facts.get('steps', ()))} steps" if facts.get("steps") else ""
        case "code":
            return f"{facts['files']} files" if "files" in facts else ""
        case "env":
            return f"Python {facts['python']}" if "python" in facts else ""
        case "features":
            return _features_detail(facts)
        case "model":
            return str(facts.get("digest", "")).removeprefix("sha256:")[:12]
        case "deployment":
            return " / ".join(percent(route[3]) for route in facts.get("routes", ()))
        case "prediction":
            return _output_detail(facts)
        case _:
            return ""


def _features_detail(facts: Any) -> str:
    definition = facts.get("definition")
    features = definition.get("features", ()) if isinstance(definition, Mapping) else ()
    return f"{len(features)} features" if features else ""


def _output_detail(facts: Any) -> str:
    output = facts.get("output")
    if not isinstance(output, Mapping) or not output:
        return ""
    name, value = next(iter(output.items()))
    return f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"


def _reduced(edges: set[tuple[str, str]], columns: Mapping[str, int]) -> set[tuple[str, str]]:
    """The edges from left to right that no longer way says already."""
    forward = {(up, down) for up, down in edges if columns[up] < columns[down]}
    below: dict[str, set[str]] = {}
    for up, down in forward:
        below.setdefault(up, set()).add(down)
    reach: dict[str, set[str]] = {}
    for id in sorted(columns, key=lambda it: -columns[it]):
        reach[id] = below.get(id, set()).union(*(reach[down] for down in below.get(id, ())))
    return {(up, down) for up, down in forward if not any(down in reach[other] for other in below[up] if other != down)}


def _order(node: Node) -> tuple[int, int, str]:
    kinds = ("data", "features", "code", "env")
    return node.column, kinds.index(node.kind) if node.kind in kinds else len(kinds), node.name


def _folded(graph: Graph) -> Graph:
    """Each column with at most `MOST_IN_COLUMN` nodes; the last stands for those left out."""
    stands_for: dict[str, str] = {}
    kept: list[Node] = []
    for column in range(len(graph.columns)):
        inside = [node for node in graph.nodes if node.column == column]
        if len(inside) > MOST_IN_COLUMN:
            inside.sort(key=lambda node: not node.on_path)
            rest = inside[MOST_IN_COLUMN - 1 :]
            inside = inside[: MOST_IN_COLUMN - 1]
            more = Node(f"more:{column}", rest[0].kind, f"{len(rest)} more", "", column, any(n.on_path for n in rest))
            stands_for |= {node.id: more.id for node in rest}
            inside.append(more)
        kept += inside
    edges: dict[tuple[str, str], bool] = {}
    for edge in graph.edges:
        ends = stands_for.get(edge.upstream, edge.upstream), stands_for.get(edge.downstream, edge.downstream)
        edges[ends] = edges.get(ends, False) or edge.on_path
    return Graph(
        graph.columns, tuple(kept), tuple(Edge(*ends, on_path) for ends, on_path in edges.items()), graph.elsewhere
    )


def _without_empty_columns(graph: Graph) -> Graph:
    used = sorted({node.column for node in graph.nodes})
    place = {column: new for new, column in enumerate(used)}
    nodes = tuple(Node(n.id, n.kind, n.name, n.detail, place[n.column], n.on_path, n.at) for n in graph.nodes)
    return Graph(tuple(graph.columns[column] for column in used), nodes, graph.edges, graph.elsewhere)


def short_name(node: Node) -> str:
    """The identifier as a node shows it: the version of what has one, else the middle cut out."""
    if node.kind in ("data", "features") and "@" in node.id:
        return f"@{node.id.rpartition('@')[2]}"
    return short_id(node.id, 15)
