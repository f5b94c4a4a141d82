#!/usr/bin/env bash
# Makes an authority of our own and a server certificate for one address:
#   docker/certificates.sh 10.0.0.5 [FOLDER]
# The authority's key is thrown away: another address, or the end of the validity, is a new authority.
set -euo pipefail

address=${1:?the private address, as the workers will write it}
folder=${2:-$(dirname "$0")/certificates}
days=825

kind=DNS
if [[ $address =~ ^[0-9.]+$ || $address == *:* ]]; then
    kind=IP
fi

umask 077
mkdir -p "$folder"
cd "$folder"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc)
openssl req -x509 "${key[@]}" -keyout ca.key -out ca.crt -days "$days" -subj '/CN=Headgraft' \
    -addext 'keyUsage=critical,keyCertSign'
openssl req "${key[@]}" -keyout server.key -out server.csr -subj "/CN=$address"
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" \
    -out server.crt -extfile <(
        echo "subjectAltName=$kind:$address,DNS:redis,DNS:s3,DNS:localhost,IP:127.0.0.1"
        echo 'basicConstraints=CA:FALSE'
        echo 'extendedKeyUsage=serverAuth'
    )
rm -f ca.key ca.srl server.csr
# The folder is closed to others; inside a container its files belong to nobody it knows.
chmod 444 ca.crt server.crt server.key
