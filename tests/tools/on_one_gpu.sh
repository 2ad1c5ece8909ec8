#!/usr/bin/env bash
# Trains and measures on one GPU what needs one, the most important first, and ends in time:
#
#     KERAS_BACKEND=jax bash tests/tools/on_one_gpu.sh DATA OUT [SECONDS]
#
# DATA holds the radiographs, SECONDS (default 3600) is when it ends. Repeated with the same OUT it goes on. It leaves
# OUT/records.tgz: records and tables, no weights or predictions, which show patients. Exit code 4: a stage failed or
# was cut off. Variables: PYTHON (.venv/bin/python), SUITE (montgomery), WORKERS (5 cells at a time).
set -uo pipefail
[ $# -ge 2 ] && [ -d "$1" ] && [[ ${3:-0} =~ ^[0-9]+$ ]] || { sed -n 's/^#     //p' "$0"; exit 2; }
data=$(cd -- "$1" && pwd) out=$(realpath -m -- "$2") limit=${3:-3600}
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python} suite=${SUITE:-montgomery} workers=${WORKERS:-5}
export LUNGSEG_DATA=$data
mkdir -p -- "$out/runs"
[ -e "$out/runs/$suite" ] || [ ! -e "results/runs/$suite" ] || cp -r -- "results/runs/$suite" "$out/runs/"

left() { echo $((limit - 20 - SECONDS)); }  # packing takes some

unfinished=0

# stage NAME COMMAND...: a verb of bench, stopped gently at the limit; what it says goes to OUT/NAME.log
stage() {
    local name=$1 start=$SECONDS code=0
    shift
    [ "$(left)" -gt 30 ] || { echo "$name: no time left"; unfinished=4; return; }
    timeout --signal=TERM --kill-after=15 "$(left)" "$python" -m bench "$@" </dev/null >>"$out/$name.log" 2>&1 || code=$?
    echo "$name: exit code $code after $((SECONDS - start)) s, at $SECONDS s"
    [ "$code" = 0 ] && return
    unfinished=4
    tail -n 3 -- "$out/$name.log" | sed 's/^/    /'
}

one=(--arch unet --folds 0 --seeds 1)

# the source protocol, and a cell that has the card for itself, whose compiled programs the first has made
stage protocol run "$suite" --workers "$workers" --no-speed --results "$out"
mkdir -p -- "$out/alone/cache"
[ ! -d "$out/cache" ] || cp -r -- "$out/cache/." "$out/alone/cache/"
stage alone run "$suite" "${one[@]}" --workers 1 --no-speed --results "$out/alone"

# how far equal runs differ, and what the precision changes
stage reruns reruns "$suite" "${one[@]}" --times 5 --results "$out"
stage float32 run "$suite" --folds 0 --seeds 1 --precision float32 --workers 3 --no-speed --results "$out"

# throughput: beside PyTorch, then of all networks of the suite
for precision in mixed_bfloat16 float32; do
    stage peers speed "$suite" --arch unet --peers --precision "$precision" --results "$out"
done
stage speed speed "$suite" --results "$out"
stage batches speed "$suite" --arch unet --batches 8,32,64 --results "$out"

"$python" -m bench costs "$suite" --results "$out" >"$out/costs.txt" 2>&1
(cd -- "$out" && find runs reruns throughput alone/runs ./*.log costs.txt -type f 2>/dev/null | tar -czf records.tgz -T -)
echo "$(find "$out/runs/$suite" -name '*.json' | wc -l) records of $suite, all in $out/records.tgz"
exit "$unfinished"
