#!/bin/sh
# Makes the keys that stand here, with OpenSSL 3: keys for tests, which open nothing. The passphrase of all is "tiger".
set -eu
cd "$(dirname "$0")"
legacy="-traditional -passout pass:tiger"
pkcs8="-topk8 -passout pass:tiger"

openssl genrsa -out rsa-pkcs8.pem 2048
openssl rsa -in rsa-pkcs8.pem -traditional -out rsa-pkcs1.pem
openssl rsa -in rsa-pkcs8.pem $legacy -des3 -out rsa-legacy-des3.pem
openssl rsa -in rsa-pkcs8.pem $legacy -aes128 -out rsa-legacy-aes128.pem
openssl rsa -in rsa-pkcs8.pem $legacy -aes192 -out rsa-legacy-aes192.pem
openssl rsa -in rsa-pkcs8.pem $legacy -aes256 -out rsa-legacy-aes256.pem
openssl rsa -in rsa-pkcs8.pem $legacy -camellia256 -out rsa-legacy-camellia256.pem

openssl ecparam -name prime256v1 -genkey -out ec-sec1.pem # with the section EC PARAMETERS before it
openssl pkcs8 -in ec-sec1.pem -topk8 -nocrypt -out ec-pkcs8.pem
openssl ec -in ec-sec1.pem -passout pass:tiger -aes256 -out ec-legacy-aes256.pem
openssl pkcs8 -in ec-sec1.pem $pkcs8 -v2 aes-256-cbc -out ec-pkcs8-aes256.pem
openssl pkcs8 -in ec-sec1.pem $pkcs8 -v2 aes-128-cbc -v2prf hmacWithSHA1 -out ec-pkcs8-aes128-sha1.pem
openssl pkcs8 -in ec-sec1.pem $pkcs8 -v2 aes-192-cbc -v2prf hmacWithSHA512 -out ec-pkcs8-sha512.pem
openssl pkcs8 -in ec-sec1.pem $pkcs8 -v2 des3 -out ec-pkcs8-des3.pem
openssl pkcs8 -in ec-sec1.pem $pkcs8 -scrypt -out ec-pkcs8-scrypt.pem
openssl pkcs8 -in ec-sec1.pem $pkcs8 -v1 PBE-SHA1-3DES -out ec-pkcs8-pbes1.pem

openssl ecparam -name secp384r1 -genkey -noout -out ec384-sec1.pem
openssl genpkey -algorithm ed25519 -out ed25519-pkcs8.pem
openssl ecparam -name secp521r1 -genkey -noout -out ec521-sec1.pem

# Of X.509 version 1, for ec-sec1.pem.
openssl req -new -key ec-sec1.pem -subj /CN=old -out old.csr
openssl x509 -req -in old.csr -signkey ec-sec1.pem -days 36500 -out ec-certificate-v1.pem
rm old.csr
