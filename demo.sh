#!/usr/bin/env bash
# Index the Python standard library, then ask it three questions. Running it again only looks for what changed.
set -euo pipefail

nestvec="${NESTVEC:-nestvec}"
where=demo/stdlib

timed() {
    local start end word
    printf '\n$ nestvec'
    for word in "$@"; do
        case "$word" in *" "*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    printf '\n'
    start=$(date +%s.%N)
    "$nestvec" "$@"
    end=$(date +%s.%N)
    awk -v a="$start" -v b="$end" 'BEGIN {printf "(%.1f s, start-up of Python included)\n", b - a}'
}

mkdir -p demo
timed index python:stdlib --to "$where"
timed search "$where" "how do I parse a date from a string"
timed search "$where" "run a function in several processes"
timed search "$where" "compress bytes without loss"
