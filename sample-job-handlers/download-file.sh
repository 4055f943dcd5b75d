#!/bin/sh
# Downloads URL to TARGET, a file or a directory, and checks the SHA-256 sum if one is given:
#
#     download-file.sh URL TARGET [SHA256]
#
# The target is replaced in one move when all of the file is there and right; before that nothing of it can be seen.
# Credentials and queries of URLs are secrets, so neither they nor the words of the download tool are ever printed.
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

[ "$#" -eq 2 ] || [ "$#" -eq 3 ] || fail 'Usage: download-file.sh url target [sha256]'
url=$1
target=$2
wanted=$(printf '%s' "${3:-}" | tr 'A-F' 'a-f')

case "$url" in
*[[:space:][:cntrl:]]*) fail 'The URL has blanks or control characters' ;;
http://?* | https://?*) ;;
*) fail 'The URL has to begin with http:// or https://' ;;
esac
case "$wanted" in
*[!0-9a-f]*) fail 'The SHA-256 sum has to be 64 hexadecimal digits' ;;
esac
[ -z "$wanted" ] || [ "${#wanted}" -eq 64 ] || fail 'The SHA-256 sum has to be 64 hexadecimal digits'
[ -z "$wanted" ] || has sha256sum || fail 'sha256sum is needed to check the file and was not found'

# What may be shown of the URL: no query, no fragment, no user and password.
shown=${url%%[?#]*}
rest=${shown#*://}
host=${rest%%/*}
path=${rest#"$host"}
host=${host##*@}
# A password with a slash or a question mark in it would end up here.
case "$host" in
\[*\] | \[*\]:* | *:*:*) port=${host##*\]} port=${port#:} ;;
*:*) port=${host##*:} ;;
*) port= ;;
esac
case "$host" in
'' | *[!][[:alnum:].:_-]*) fail 'The URL has no proper host name' ;;
esac
case "$port" in
*[!0-9]*) fail 'The URL has no proper port' ;;
esac
shown=${shown%%://*}://$host$path

[ -n "$target" ] || fail 'The target is empty'
# A name that begins with a hyphen would be an option to the tools.
case "$target" in -*) target=./$target ;; esac
if [ -d "$target" ]; then
    directory=${target%/}/
    name=${path##*/}
    case "$name" in
    '' | . | ..) fail "No file name in $shown, and $target is a directory" ;;
    esac
else
    name=${target##*/}
    directory=${target%"$name"}
    [ -n "$name" ] || fail "There is no directory $target"
fi
target=$directory$name
[ -d "${directory:-.}" ] || fail "There is no directory $directory"
[ ! -d "$target" ] || fail "$target is a directory"

# Before the file, so that a signal cannot come in between.
temporary=
trap '[ -z "$temporary" ] || rm -f "$temporary"' EXIT
trap 'exit 143' HUP INT TERM
temporary=$(mktemp "${directory:-./}.download-XXXXXX") || fail "Cannot write to ${directory:-.}"

code=0
if has curl; then
    tool=curl
    curl --silent --fail --location --globoff --proto =http,https --proto-redir =http,https --connect-timeout 60 \
        --speed-limit 1 --speed-time 120 --output "$temporary" "$url" >/dev/null 2>&1 || code=$?
elif has wget; then
    tool=wget
    # Only options that the wget of busybox and of OpenWrt know as well.
    wget -q -T 120 -O "$temporary" "$url" >/dev/null 2>&1 || code=$?
else
    fail 'No download tool found: curl, wget'
fi

case "$tool $code" in
*' 0') ;;
'curl 6' | 'curl 5') fail "Cannot download $shown: its host is not known (curl $code)" ;;
'curl 7' | 'wget 4') fail "Cannot download $shown: no connection, or it broke ($tool $code)" ;;
'curl 18') fail "Cannot download $shown: the connection broke (curl 18)" ;;
'curl 22' | 'wget 8') fail "Cannot download $shown: the server refused it ($tool $code)" ;;
'curl 23' | 'wget 3') fail "Cannot download $shown: the file could not be written ($tool $code)" ;;
'curl 28') fail "Cannot download $shown: it took too long (curl 28)" ;;
'curl 35' | 'curl 51' | 'curl 60' | 'wget 5') fail "Cannot download $shown: TLS failed ($tool $code)" ;;
*) fail "Cannot download $shown: $tool failed with $code" ;;
esac

if [ -n "$wanted" ]; then
    found=$(sha256sum <"$temporary")
    found=${found%% *}
    [ "$found" = "$wanted" ] || fail "$shown is not the wanted file: its SHA-256 sum is $found"
fi

# mktemp made it private; now it gets the mode of any new file.
chmod "=rw" "$temporary"
# On the disk before it has its name: a power cut must not leave an empty file there. Old tools only know all files.
sync "$temporary" 2>/dev/null || sync
mv -f "$temporary" "$target"
temporary=
printf 'Downloaded %s to %s\n' "$shown" "$target"
