#!/bin/sh
# Reboots the device, and has succeeded when it has come back.
#
# The first time it ends with 194: so it asks the agent to reboot the device. The agent writes that down, reboots, and
# runs this handler once more; then BOOT_ID_BEFORE is the number of the boot in which it had asked. The kernel draws
# such a number anew at every boot, so no clock and no file of ours has a say in whether the device was rebooted.
# PROC_DIRECTORY is for systems that have /proc elsewhere.
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
[ "$#" -eq 0 ] || fail 'Usage: reboot.sh'

now=$(cat "${PROC_DIRECTORY:-/proc}/sys/kernel/random/boot_id") || now=
[ -n "$now" ] || fail 'The kernel does not tell which boot this is'

case "${ATTEMPT:-}" in
1)
    printf 'The device is to be rebooted; this is boot %s\n' "$now"
    exit 194
    ;;
'' | *[!0-9]*) fail 'This handler is for fleethand, which reboots the device when it is asked to; nothing was done' ;;
esac

# A later attempt: either the device was rebooted, or this handler was cut off before it had asked.
before=${BOOT_ID_BEFORE:-}
[ -n "$before" ] || fail 'Nobody knows whether the device was rebooted: the agent does not tell when this job began'
[ "$now" != "$before" ] || fail "The device was not rebooted: this is still boot $now"
printf 'The device was rebooted: boot %s came after %s\n' "$now" "$before"
