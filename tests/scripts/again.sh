#!/usr/bin/env bash
# Runs stages of tests/run again and again, `tests/scripts/again.sh 10 firmware` say, and says how often they
# have passed. The output of each run that failed is kept beside the stages' own, and names what its tests
# have kept: captures, flash and log.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

times=${1:-} logs=target/tests-run
[[ $times =~ ^[1-9][0-9]*$ && $# -ge 2 ]] || {
    echo "usage: tests/scripts/again.sh TIMES STAGE..." >&2
    exit 2
}
shift
mkdir -p "$logs"
passed=0
for ((run = 1; run <= times; run++)); do
    log=$logs/again-$run.log
    if tests/run "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        result=passed
    else
        result="FAILED, see $log"
    fi
    echo "run $run: $(tail -n 1 "$log") ($SECONDS s so far): $result"
    [[ $result != passed ]] || rm "$log"
done
echo "$passed of $times runs passed"
((passed == times))
