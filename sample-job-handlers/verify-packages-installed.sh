#!/bin/sh
# Ends well if every package is installed. All that are missing are named, one per line.
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
[ "$#" -gt 0 ] || fail 'Usage: verify-packages-installed.sh package...'
for name; do
    case "$name" in
    -* | *[![:alnum:].+_:~-]*) fail "Not the name of a package: $name" ;;
    esac
done

# The package database that belongs to the package manager; another one may be there as a mere tool.
if has apt-get; then
    database=dpkg
elif has dnf || has yum; then
    database=rpm
elif has apk; then
    database=apk
elif has opkg; then
    database=opkg
elif has dpkg-query; then
    database=dpkg
elif has rpm; then
    database=rpm
else
    fail 'No package database found: dpkg, rpm, apk, opkg'
fi

# Whether a package is installed. A database that does not answer is neither yes nor no: it ends the handler.
installed() {
    code=0
    case "$database" in
    dpkg)
        # shellcheck disable=SC2016 # a field of dpkg-query, not a variable of the shell
        answer=$(dpkg-query -W -f='${Status}\n' "$1" 2>/dev/null) || code=$?
        [ "$code" -le 1 ] || fail "dpkg-query failed with $code for $1"
        case "$answer" in *' ok installed'*) return 0 ;; esac
        # Half installed or half configured is not installed, and not gone either.
        case "$answer" in
        *' half-'* | *' unpacked'* | *' triggers-'* | *reinstreq*) fail "$1 is broken: $answer" ;;
        esac
        return 1
        ;;
    rpm)
        answer=$(LC_ALL=C rpm -q "$1" 2>&1) || code=$?
        [ "$code" -ne 0 ] || return 0
        case "$answer" in *' is not installed') return 1 ;; esac
        fail "rpm failed with $code for $1: $answer"
        ;;
    apk)
        answer=$(apk info -e "$1" 2>&1) || code=$?
        [ "$code" -ne 0 ] || return 0
        [ -n "$answer" ] || return 1
        fail "apk failed with $code for $1: $answer"
        ;;
    opkg)
        answer=$(opkg status "$1" 2>&1) || code=$?
        [ "$code" -eq 0 ] || fail "opkg failed with $code for $1: $answer"
        # A package that is not known has no status at all.
        printf '%s\n' "$answer" | grep -q '^Status: .* installed$'
        ;;
    esac
}

bad=0
for name; do
    if installed "$name"; then
        printf '%s is installed\n' "$name"
    else
        printf '%s is not installed\n' "$name" >&2
        bad=1
    fi
done
exit "$bad"
