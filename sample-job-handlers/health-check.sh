#!/bin/sh
# Looks at the device: one line per check, "ok" to standard output or "bad" to standard error; fails if one is bad.
#
#     health-check.sh [PERCENT [LOAD]]
#
# PERCENT: how full the root file system may be, 95 by default. LOAD: the load of five minutes that each processor may
# have, 4 by default. PROC_DIRECTORY is for systems that have /proc elsewhere.
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

proc=${PROC_DIRECTORY:-/proc}
[ "$#" -le 2 ] || fail 'Usage: health-check.sh [percent [load]]'
most_full=${1:-95}
most_load=${2:-4}
for number in "$most_full" "$most_load"; do
    case "$number" in
    *[!0-9]* | ?????*) fail "Not a whole number of at most four digits: $number" ;;
    esac
done

worst=0
ok() {
    printf 'ok: %s\n' "$*"
}
bad() {
    printf 'bad: %s\n' "$*" >&2
    worst=1
}

# The kernel mounts a root file system again without writing when its disk has faults. The last line is the one on top.
options=$(awk '$2 == "/" { options = $4 } END { print options }' "$proc/mounts") || options=
case ",$options," in
,,) bad "$proc/mounts does not tell how the root file system is mounted" ;;
*,ro,*) bad 'the root file system is mounted read-only' ;;
*) ok 'the root file system is writable' ;;
esac

full=$(df -P / | awk 'NR == 2 { sub(/%/, "", $5); print $5 }') || full=
case "$full" in
'' | *[!0-9]*) bad 'df does not tell how full the root file system is' ;;
*)
    if [ "$full" -gt "$most_full" ]; then
        bad "the root file system is $full % full, more than $most_full %"
    else
        ok "the root file system is $full % full"
    fi
    ;;
esac

load=$(awk '{ print $2 }' "$proc/loadavg") || load=
# /proc/cpuinfo has a line of this form for every processor on all but a few machines, which then count as one.
processors=$(grep -c '^processor[[:space:]]*:' "$proc/cpuinfo") || processors=1
case "$load" in
'' | *[!0-9.]*) bad "$proc/loadavg does not tell the load" ;;
*)
    if awk -v load="$load" -v most="$most_load" -v by="$processors" 'BEGIN { exit !(load > most * by) }'; then
        bad "the load is $load on $processors processors, more than $most_load on each"
    else
        ok "the load is $load on $processors processors"
    fi
    ;;
esac

if command -v systemctl >/dev/null 2>&1; then
    if units=$(systemctl --failed --no-legend --plain --no-pager); then
        names=$(printf '%s\n' "$units" | awk 'NF { printf "%s%s", sep, $1; sep = " " }')
        if [ -n "$names" ]; then
            bad "failed units: $names"
        else
            ok 'no unit has failed'
        fi
    else
        bad 'systemctl does not tell which units have failed'
    fi
fi

exit "$worst"
