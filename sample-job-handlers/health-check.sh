#!/bin/sh
# Looks at the device: one line per check, "ok" to standard output or "bad" to standard error; fails if one is bad.
#
#     health-check.sh [DISK [LOAD [MEMORY]]]
#
# DISK: how full the root file system may be in percent, 95 by default. LOAD: the load of five minutes that each
# processor may have, 4 by default. MEMORY: how much of it may be in use in percent, 95 by default.
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

proc=${PROC_DIRECTORY:-/proc}
[ "$#" -le 3 ] || fail 'Usage: health-check.sh [disk [load [memory]]]'
most_full=${1:-95}
most_load=${2:-4}
most_used=${3:-95}
for number in "$most_full" "$most_load" "$most_used"; do
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

# Kernels before 3.14 do not tell what is available; what they call free, buffers and cached is near it.
used=$(awk '
    { sub(/:/, "", $1); kb[$1] = $2 }
    END {
        free = ("MemAvailable" in kb) ? kb["MemAvailable"] : kb["MemFree"] + kb["Buffers"] + kb["Cached"]
        if (kb["MemTotal"] > 0 && ("MemFree" in kb)) printf "%d", 100 - 100 * free / kb["MemTotal"]
    }' "$proc/meminfo") || used=
case "$used" in
'' | *[!0-9]*) bad "$proc/meminfo does not tell how much memory is in use" ;;
*)
    if [ "$used" -gt "$most_used" ]; then
        bad "$used % of the memory is in use, more than $most_used %"
    else
        ok "$used % of the memory is in use"
    fi
    ;;
esac

# Boards without a clock of their own begin in 1970 or at the day their system was built, and TLS then fails.
year=$(date +%Y) || year=
synchronised=unknown
if command -v timedatectl >/dev/null 2>&1; then
    # No answer means that the service behind it is not there, which is no fault of the clock.
    case "$(timedatectl show --property=NTP --property=NTPSynchronized 2>/dev/null)" in
    *NTPSynchronized=yes*) synchronised=yes ;;
    *NTP=yes*) synchronised=no ;;
    esac
fi
case "$year" in
'' | *[!0-9]*) bad 'date does not tell the year' ;;
*)
    if [ "$year" -lt 2025 ]; then
        bad "the clock is wrong: it says that it is the year $year"
    elif [ "$synchronised" = no ]; then
        bad 'the clock is to be set by the network, and has not been'
    elif [ "$synchronised" = yes ]; then
        ok 'the clock is set by the network'
    else
        ok "the clock says $year; whether it is set by the network, nobody here tells"
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
