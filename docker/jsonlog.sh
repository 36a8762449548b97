#!/bin/sh
# Runs a command and writes each line of its output as JSON. Lines that are JSON objects already stay as they are. The container
# needs an init, whose child the one that writes is: HAProxy does not end while it has a child.
#   usage: jsonlog.sh name command [argument...]
set -eu
name=$1
shift
rm -f /tmp/log
mkfifo /tmp/log
(
  awk -v name="$name" '
    /^\{.*\}$/ { print; fflush(); next }
    /^$/ { next }
    {
      gsub(/[\\"]/, "\\\\&"); gsub(/[\001-\037]/, " ")
      printf "{\"service\":\"%s\",\"msg\":\"%s\"}\n", name, $0; fflush()
    }' </tmp/log &
)
exec "$@" >/tmp/log 2>&1
