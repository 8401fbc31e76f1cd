"""The servers of a stack: a supervisor for each project starts them, watches them, and ends with all of them.

    stackproof up  ──plan──▶  supervisor  ──pipe──▶  a guard for each server  ──▶  the server and what it starts
                  ◀──state──              ◀──pipe──

The supervisor restarts; a guard writes the log and ends the server's processes when its pipe closes, in whatever
way the supervisor ended.
"""
