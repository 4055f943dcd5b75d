#!/bin/sh
# Writes as many lines to standard error as the first argument says, and ends well. Whether that is a success, the
# job document decides (allowStdErr).
set -eu

if [ "${USER_ARGUMENT:-}" = 1 ]; then
    shift
fi

line=1
while [ "$line" -le "${1:-1}" ]; do
    printf 'warning %s\n' "$line" >&2
    line=$((line + 1))
done
