#!/bin/sh
# Makes a bucket where there is none of that name: bucket.sh NAME MASTER FILER
set -eu
name=${1:?which bucket}

# Without the limit the shell waits for ever for a master that is away.
ask() {
    echo "$1" | timeout 30 weed shell -master="$2" -filer="$3"
}

if ask s3.bucket.list "$2" "$3" | grep -q "^ *${name}[[:space:]]"; then
    echo "bucket $name is there"
else
    ask "s3.bucket.create -name $name" "$2" "$3"
fi
