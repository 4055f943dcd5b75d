#!/bin/sh
# Removes packages, on Debian together with their configuration files, with the package manager of the system: apt-get,
# dnf, yum, apk or opkg.
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
[ "$#" -gt 0 ] || fail 'Usage: remove-packages.sh package...'
for name; do
    case "$name" in
    -* | *- | *[![:alnum:].+_:~-]*) fail "Not the name of a package: $name" ;;
    esac
done

if has apt-get; then
    # To apt-get a plus sign at the end means "install this one", unless there is a package with that very name.
    for name; do
        case "$name" in
        *+) dpkg-query -W "$name" >/dev/null || fail "There is no package $name" ;;
        esac
    done
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -y -o DPkg::Lock::Timeout=300 --purge remove "$@"
elif has dnf; then
    dnf -y remove "$@"
elif has yum; then
    yum -y remove "$@"
elif has apk; then
    apk del "$@"
    # It keeps what another package needs, and calls that a success.
    for name; do
        ! apk info -e "$name" >/dev/null || fail "$name is still installed: another package needs it"
    done
elif has opkg; then
    opkg remove "$@"
    for name; do
        # As old versions do.
        case "$(opkg status "$name")" in
        *' installed'*) fail "$name is still installed: another package needs it" ;;
        esac
    done
else
    fail 'No package manager found: apt-get, dnf, yum, apk, opkg'
fi
