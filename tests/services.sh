#!/usr/bin/env bash
# Installs what the slower tests need beside Python, where a package manager and the right to use it are there.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
for command in chromium strace npm prometheus redis-server; do
    command -v "$command" >/dev/null || missing+=("$command")
done

if [ ${#missing[@]} -gt 0 ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "missing: ${missing[*]}; the tests that need them are skipped"
    fi
fi

# axe-core, by the digest in the lock
if command -v npm >/dev/null; then
    npm ci --prefix web --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null ||
        echo "missing: axe-core, which npm could not get; the tests that need it are skipped"
fi
