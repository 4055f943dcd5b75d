#!/bin/sh
# Stops system services with systemctl, OpenRC's rc-service, service, or the scripts of /etc/init.d. The first
# one that fails ends the handler with the code of its tool. INIT_DIRECTORY is for systems that keep those scripts
# elsewhere.
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

# Templates send all names as one text, other documents one by one. No name is ever a pattern of files.
set -f
# shellcheck disable=SC2048,SC2086 # splitting at blanks is what is wanted
set -- $*
[ "$#" -gt 0 ] || fail 'Usage: stop-services.sh service...'
for name; do
    case "$name" in
    -* | *[![:alnum:].+_:@\\-]*) fail "Not the name of a service: $name" ;;
    esac
    # Stopped for good, nothing could reach the device any more: not this job's report, and no further job.
    case "$name" in
    fleethand | fleethand.service) fail "Refused: $name runs this job and every later one" ;;
    esac
done

init_directory=${INIT_DIRECTORY:-/etc/init.d}
if has systemctl; then
    systemctl --no-ask-password stop -- "$@"
elif has rc-service; then
    for name; do
        rc-service "$name" stop
    done
elif has service; then
    for name; do
        service "$name" stop
    done
elif [ -d "$init_directory" ]; then
    for name; do
        [ -x "$init_directory/$name" ] || fail "There is no $init_directory/$name"
        "$init_directory/$name" stop
    done
else
    fail "No service manager found: systemctl, rc-service, service, $init_directory"
fi
