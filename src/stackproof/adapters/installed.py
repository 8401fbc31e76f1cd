"""The health of a tool that works wherever its package is installed."""

from importlib.metadata import PackageNotFoundError, version

from stackproof.roles.adapter import Health


def installed(package: str, tool: str, detail: str) -> Health:
    """`tool` as people write it, for the case that its `package` is not there. `detail`: for the case that it is."""
    try:
        return Health(True, version(package), detail)
    except PackageNotFoundError:
        return Health(False, "", f"{tool} is not installed in this environment")
