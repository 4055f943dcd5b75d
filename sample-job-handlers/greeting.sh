#!/bin/sh
# Greets whoever the first argument names. What a handler writes to standard output is reported only if the job
# document asks for it with includeStdOut.
set -eu

# In a document with steps a handler gets the user to run as in front of its own arguments, and is told so.
if [ "${USER_ARGUMENT:-}" = 1 ]; then
    shift
fi

printf 'Hello, %s!\n' "${1:-world}"
