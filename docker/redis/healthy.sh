#!/usr/bin/env bash
# Exit code 0 when the server on this port serves its data: healthy.sh PORT
# The password comes from the environment, since anybody may read a command line. Bash alone, so
# that a host without a Redis client can run the same check.
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${1:?which port}"
printf 'AUTH headgraft %s\r\nPING\r\n' "${HEADGRAFT_REDIS_PASSWORD:?is not set}" >&3
read -r -t 3 authenticated <&3
read -r -t 3 answer <&3
[[ $authenticated == +OK* && $answer == +PONG* ]]
