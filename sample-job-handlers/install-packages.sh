#!/bin/sh
# Installs packages with the package manager of the system: apt-get, dnf, yum, apk or opkg. A name may be whatever the
# package manager takes as one: with a version, or the path of a package file. Configuration files that were changed
# on the device stay as they are.
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
[ "$#" -gt 0 ] || fail 'Usage: install-packages.sh package...'
for name; do
    case "$name" in
    -* | *- | *[![:alnum:]@.+_:=~/-]*) fail "Not the name of a package: $name" ;;
    esac
done

if has apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    # Nobody is there to answer a question, and the daily upgrade may hold the lock for a while.
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold install "$@"
elif has dnf; then
    dnf -y install "$@"
elif has yum; then
    # Without this yum is content if one of several packages exists.
    yum -y --setopt=skip_missing_names_on_install=False install "$@"
elif has apk; then
    apk add --update-cache "$@"
elif has opkg; then
    opkg update
    opkg install "$@"
else
    fail 'No package manager found: apt-get, dnf, yum, apk, opkg'
fi
