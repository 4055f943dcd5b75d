#!/bin/sh
# Powers the device off in as many minutes as the first argument says, 1 by default: time in which the agent reports
# the job. The job has succeeded when the shutdown is arranged; nobody is left to report it when it has happened.
set -eu

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# In a document with steps the user to run as comes first. Whoever this runs as is the only one it acts for.
if [ "${USER_ARGUMENT:-}" = 1 ]; then
    [ "$#" -gt 0 ] || fail 'The user argument is missing'
    case "$1" in
    '' | "$(id -un 2>/dev/null)" | "$(id -u)") shift ;;
    *) fail "Refused: this handler runs as $(id -u), not as the user \"$1\" of the job document" ;;
    esac
fi

has() {
    command -v "$1" >/dev/null 2>&1
}

[ "$#" -le 1 ] || fail 'Usage: shutdown.sh [minutes]'
minutes=${1:-1}
# No leading zero: the shell would read the number as octal, and none at all would leave no time for the report.
case "$minutes" in
[!1-9]* | *[!0-9]* | ?????*) fail "Not a number of minutes from 1 to 9999: $minutes" ;;
esac

if has shutdown; then
    shutdown -h "+$minutes"
elif has poweroff; then
    [ "$(id -u)" -eq 0 ] || fail 'Only root can power the device off'
    # Systems with busybox cannot do it later; so what waits is left behind, deaf to the end of this handler.
    (
        trap '' HUP
        sleep "$((minutes * 60))"
        poweroff
    ) </dev/null >/dev/null 2>&1 &
else
    fail 'Neither shutdown nor poweroff was found'
fi
printf 'The device powers off in %s min\n' "$minutes"
