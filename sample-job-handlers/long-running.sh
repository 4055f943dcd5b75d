#!/bin/sh
# Waits for as many seconds as the first argument says: something to look at while it runs, and to cancel.
set -eu

if [ "${USER_ARGUMENT:-}" = 1 ]; then
    shift
fi

printf 'Waiting for %s seconds\n' "${1:-60}"
sleep "${1:-60}"
printf 'Done\n'
