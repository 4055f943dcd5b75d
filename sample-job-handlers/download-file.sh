#!/bin/sh
# Downloads URL to TARGET, a file or a directory:
#
#     download-file.sh URL TARGET [SHA256 [MEBIBYTES]]
#
# The file has to have the SHA-256 sum, if one is given (it may be empty), and at most so many mebibytes. The target is
# replaced in one move when all of the file is there and right, and keeps its mode and owner; before that nothing of the
# new file can be seen.
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

case "$#" in
[234]) ;;
*) fail 'Usage: download-file.sh url target [sha256 [mebibytes]]' ;;
esac
url=$1
target=$2
wanted=$(printf '%s' "${3:-}" | tr 'A-F' 'a-f')
most=${4:-}

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
case "$most" in
0* | *[!0-9]* | ???????*) fail "Not a number of mebibytes from 1 to 999999: $most" ;;
esac

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
# The move would put a file in the place of a device or a pipe.
[ ! -e "$target" ] || [ -f "$target" ] || fail "$target is no regular file"

# Before the file, so that a signal cannot come in between.
temporary=
trap '[ -z "$temporary" ] || rm -f "$temporary"' EXIT
trap 'exit 143' HUP INT TERM
temporary=$(mktemp "${directory:-./}.download-XXXXXX") || fail "Cannot write to ${directory:-.}"

# Runs a tool that may write no larger file than allowed, and notes what it has to say; that is not for other eyes.
fetch() {
    words=$({
        # A block more than allowed, so that what is cut off is seen to be too large.
        [ -z "$most" ] || ulimit -f "$((most * 2048 + 1))" || exit 125
        "$@"
    } 2>&1 >/dev/null) || code=$?
}

code=0
if has curl; then
    tool=curl
    # What begins with TLS does not go on without.
    case "$url" in https:*) on=https ;; *) on=http,https ;; esac
    fetch curl --silent --fail --location --globoff --proto =http,https --proto-redir "=$on" --connect-timeout 60 \
        --speed-limit 1 --speed-time 120 --output "$temporary" "$url"
elif has wget; then
    tool=wget
    case "$(wget --version 2>/dev/null)" in
    'GNU Wget'*) fetch wget -q -T 120 -t 3 -O "$temporary" "$url" ;;
    # Those of busybox and of OpenWrt give up by themselves when nothing comes any more.
    *) fetch wget -q -O "$temporary" "$url" ;;
    esac
else
    fail 'No download tool found: curl, wget'
fi

size=$(wc -c <"$temporary")
[ -z "$most" ] || [ "$size" -le "$((most * 1048576))" ] || fail "$shown is larger than $most MiB"
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

# The wget of busybox can be built so that it takes anybody's certificate; it says so.
case "$wanted $words" in
' '*'certificate validation not implemented'*)
    fail "Refused: this wget did not check who $shown came from; give a SHA-256 sum, or install curl"
    ;;
esac
if [ -n "$wanted" ]; then
    found=$(sha256sum <"$temporary")
    found=${found%% *}
    [ "$found" = "$wanted" ] || fail "$shown is not the wanted file: its SHA-256 sum is $found"
fi

# mktemp made it private; now it gets the owner and the mode of what it replaces, or the mode of any new file.
if [ -e "$target" ]; then
    # Not every busybox has stat. Of set-user-id bits nothing is taken over.
    # shellcheck disable=SC2012 # one file, of which the name is not looked at
    rights=$(ls -ldn "$target" | awk '
        function rights(text) { gsub(/[-ST]/, "", text); gsub(/[st]/, "x", text); return text }
        { print $3 ":" $4, "u=" rights(substr($1, 2, 3)) ",g=" rights(substr($1, 5, 3)) ",o=" rights(substr($1, 8, 3)) }')
    [ "$(id -u)" -ne 0 ] || chown "${rights% *}" "$temporary"
    chmod "${rights#* }" "$temporary"
else
    chmod "=rw" "$temporary"
fi
# On the disk before it has its name: a power cut must not leave an empty file there. Old tools only know all files.
sync "$temporary" 2>/dev/null || sync
mv -f "$temporary" "$target"
temporary=
printf 'Downloaded %s to %s\n' "$shown" "$target"
