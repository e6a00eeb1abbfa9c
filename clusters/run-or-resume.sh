#!/usr/bin/env bash
# Starts a run, or goes on with it where it stopped, so that a job can simply be given out again:
#   run-or-resume.sh RUN_DIR RECIPE|FILE [KEY=VALUE ...]
set -euo pipefail

if (($# < 2)); then
  echo "usage: run-or-resume.sh RUN_DIR RECIPE|FILE [KEY=VALUE ...]" >&2
  exit 2
fi
run_dir=$1
shift
resume=()
if [[ -f "$run_dir/config.yaml" ]]; then
  resume=(--resume)
fi
exec python -m ray_matdesign run "$@" --out "$run_dir" "${resume[@]}"
