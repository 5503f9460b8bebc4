#!/usr/bin/env bash
# Installs everything into a virtual environment: stack/install.sh PYTHON VENV (see `make install`).
#
# Safe to stop at any moment and to run again: each part either exists whole or is made anew. Every
# failure is one message and exit code 2. A line appears at least every three seconds.
set -uo pipefail

python="${1:?usage: stack/install.sh PYTHON VENV}"
venv="${2:?usage: stack/install.sh PYTHON VENV}"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
log="$root/logs/install.log"
needed_gb=6
child=""

fail() {
    printf '\nError: %s\n' "$1" >&2
    exit 2
}

stop() {
    if [ -n "$child" ]; then kill -- "-$child" 2>/dev/null; fi
    printf '\nStopped. Run the same command again to go on.\n' >&2
    exit 130
}
trap stop INT TERM HUP

# step MESSAGE COMMAND...: runs the command in a process group of its own, with its output in the log.
step() {
    local message="$1" started=$SECONDS status
    shift
    printf '%s' "$message"
    printf '\n== %s\n' "$message" >>"$log"
    set -m
    "$@" >>"$log" 2>&1 </dev/null &
    child=$!
    set +m
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        if (((SECONDS - started) / 3 > ${dots:=0})); then
            dots=$(((SECONDS - started) / 3))
            printf ' .'
        fi
    done
    wait "$child"
    status=$?
    child="" dots=0
    if [ "$status" -ne 0 ]; then
        fail "$(explain "${message}")"
    fi
    printf ' done (%d s)\n' "$((SECONDS - started))"
}

# explain MESSAGE: the likely cause, from the last lines of the log.
explain() {
    local tail
    tail="$(sed -n '/^== /{h;d};H;${x;s/^== [^\n]*\n//;p}' "$log" | tail -n 40)"
    if grep -qiE 'no space left|os error 28|disk quota' <<<"$tail"; then
        echo "$1: the disk is full. Free at least ${needed_gb} GB, then run the same command again."
    elif grep -qiE 'resolve|connect|network|timed out|timeout|unreachable|failed to fetch|error sending request|name resolution|dns|download' <<<"$tail"; then
        echo "$1: the network did not answer. Check the connection (and HTTPS_PROXY), then run the same command again. Details: $log"
    else
        echo "$1 failed: $(tail -n 1 "$log"). Details: $log"
    fi
}

check_python() {
    local version
    version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" ||
        fail "'$python' does not run. Install Python 3.11 (Debian: apt install python3.11 python3.11-venv; macOS: brew install python@3.11) or name it: make PYTHON=/path/to/python3.11"
    [ "$version" = 3.11 ] ||
        fail "Python 3.11 is needed, '$python' is $version. Install it (Debian: apt install python3.11 python3.11-venv; macOS: brew install python@3.11) or name it: make PYTHON=/path/to/python3.11"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "'$python' cannot make virtual environments. Debian: apt install python3.11-venv"
}

check_java() {
    local text version how
    how="Install it (Debian: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17) and see that 'java -version' shows it."
    text="$(java -version 2>&1)" || fail "Java 17 or newer is needed and there is no working 'java'. $how"
    version="$(sed -nE '1,3s/.*version "([0-9]+)(\.([0-9]+))?.*/\1 \3/p' <<<"$text" | head -n 1)"
    version="${version/#1 /}"
    version="${version%% *}"
    [ -n "$version" ] && [ "$version" -ge 17 ] 2>/dev/null ||
        fail "Java 17 or newer is needed, this is ${version:-unknown}. $how"
}

check_disk() {
    local free_kb
    [ ! -x "$venv/bin/airflow" ] || return 0
    free_kb="$(df -Pk "$root" | awk 'NR == 2 {print $4}')"
    ((free_kb >= needed_gb * 1024 * 1024)) ||
        fail "the disk is full: $((free_kb / 1024)) MB are free at $root, ${needed_gb} GB are needed. Make room, then run the same command again."
}

make_environment() {
    "$venv/bin/python" -m pip --version && return 0
    "$python" -m venv --clear "$venv"
}

get_uv() {
    "$venv/bin/uv" --version && return 0
    "$venv/bin/python" -m pip install --disable-pip-version-check --force-reinstall 'uv>=0.9,<1'
}

sync_packages() {
    VIRTUAL_ENV="$(cd "$venv" && pwd)" UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-60}" \
        "$venv/bin/uv" pip sync --compile-bytecode requirements.lock
}

install_project() {
    VIRTUAL_ENV="$(cd "$venv" && pwd)" "$venv/bin/uv" pip install --no-deps --editable .
}

cd "$root" || exit 2
mkdir -p logs 2>/dev/null && : >"$log" || fail "$root/logs cannot be written: is the disk full or read-only?"
check_python
check_java
check_disk
step "Making the environment $venv" make_environment
step "Getting uv" get_uv
step "Installing the locked packages (2.5 GB; a minute with a fast network)" sync_packages
step "Installing this project" install_project
step "Fetching the Kafka and Spark jars" "$venv/bin/fraud" jars
step "Compiling the feature kernels" "$venv/bin/python" -c 'from models import policy_kernel, tree_paths, tree_shap; from inference import warm; warm.load_kernels(); policy_kernel.load_kernels(); tree_paths.load_kernels(); tree_shap.load_kernel()'
