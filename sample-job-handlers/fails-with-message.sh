#!/bin/sh
# Fails as a handler should: one line on standard error that says what is wrong, and an exit code of its own.
set -eu

if [ "${USER_ARGUMENT:-}" = 1 ]; then
    shift
fi

printf 'Nothing was changed: %s is not plugged in\n' "${1:-the modem}" >&2
exit 3
