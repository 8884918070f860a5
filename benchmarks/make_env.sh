#!/usr/bin/env bash
# The environments of the peers: two, because APScheduler 3 and 4 cannot be in one.
# PYTHON names the interpreter; it should be the one that trioschedule is measured with.
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
