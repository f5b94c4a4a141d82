#!/bin/sh
# Becomes a command once the store's secret is set: with-secret.sh COMMAND...
# With an empty secret the store would take whoever knows the name of the key.
set -eu
: "${STORE_SECRET:?AWS_SECRET_ACCESS_KEY is not set}"

# Without it, anybody who reaches the port beside the store's own could add an identity. Only this
# one process needs to know it.
WEED_JWT_FILER_SIGNING_KEY=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export WEED_JWT_FILER_SIGNING_KEY

exec "$@"
