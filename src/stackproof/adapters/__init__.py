"""The code with which tools fill roles: a folder per role, a file per tool."""
