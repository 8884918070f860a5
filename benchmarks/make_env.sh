#!/usr/bin/env bash
# The environments of the peers: several, because APScheduler 3 and 4 cannot be in one, and Oban needs Python 3.12.
# PYTHON names the interpreter; it should be the one that trioschedule is measured with. NEWER_PYTHON names one for Oban;
# if it is not given, the first that is found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}

# make FOLDER REQUIREMENT…
make() {
    local folder=$1
    shift
    "$python" -m venv "$folder"
    echo '*' >"$folder/.gitignore" # As venv itself does from Python 3.13 on.
    "$folder/bin/python" -m pip install --quiet --upgrade "$@"
    echo "$folder: $*"
}

make .bench-venv jobify huey 'apscheduler==3.11.*'
make .bench-venv-aps4 apscheduler==4.0.0a6 trio cronsim croniter
make .bench-venv-pg 'pgqueuer[asyncpg]' 'procrastinate' 'psycopg[binary]'

newer() {
    local one
    for one in "${NEWER_PYTHON:-$python}" python3.12 python3.13 python3.14; do
        if "$one" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            echo "$one"
            return
        fi
    done
}

if [[ -n $(newer) ]]; then
    python=$(newer)
    make .bench-venv-oban oban
else
    echo ".bench-venv-oban: left out, there is no Python 3.12 or newer; NEWER_PYTHON may name one" >&2
fi
