#!/bin/sh
# Waits for as many seconds as the first argument says (60), and reports how far it is: something to look at while it
# runs, and to cancel.
set -eu

if [ "${USER_ARGUMENT:-}" = 1 ]; then
    shift
fi

all=${1:-60}
case "$all" in
'' | *[!0-9]* | ??????*)
    printf 'Not a number of seconds from 0 to 99999: %s\n' "$all" >&2
    exit 1
    ;;
esac

# The descriptor is there in a job; at a desk nobody wants to know.
progress() {
    [ -z "${HANDLER_PROGRESS_FD:-}" ] || printf '%s\n' "$*" >&"$HANDLER_PROGRESS_FD"
}

printf 'Waiting for %s seconds\n' "$all"
passed=0
while [ "$passed" -lt "$all" ]; do
    progress "$passed of $all seconds"
    sleep 1
    passed=$((passed + 1))
done
progress "$passed of $all seconds"
printf 'Done\n'
