"""The bridge: an adapter's class runs in a child process of another Python environment.

`bridging.bridged` and `bridging.BridgedClass` are what others use; `limits.Limits` and `limits.deadline` bound
the waiting. Everything here is standard library; tables need Polars or pyarrow on each side, once one moves.
`docs/explanation/bridge.md` says what is promised.
"""
