# Makes the volumes of compose.yaml usable: the functions' own for their user, and a certificate for nginx if there is none.
# Runs as root in the image of predict, with openssl from its base image.
set -eu

chown 65532:65532 /models /keys /jobs

# Renewed a month before it ends; another one's is never touched.
made=/tls/made-by-prepare
if [ -e /tls/tls.crt ] && { [ ! -e $made ] || openssl x509 -in /tls/tls.crt -noout -checkend 2592000 >/dev/null; }; then
    exit 0
fi
case $PLANT_HOST in
*[!0-9.]*) name="DNS:$PLANT_HOST" ;;
*) name="IP:$PLANT_HOST" ;;
esac
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
    -subj "/CN=$PLANT_HOST" -addext "subjectAltName=$name,DNS:nginx" -addext "basicConstraints=critical,CA:FALSE" \
    -keyout /tls/tls.key.new -out /tls/tls.crt.new 2>/dev/null
chmod 444 /tls/tls.crt.new
chown 101:101 /tls/tls.key.new /tls/tls.crt.new
touch $made
mv /tls/tls.key.new /tls/tls.key
mv /tls/tls.crt.new /tls/tls.crt
chmod 755 /tls
echo "Made a certificate for $PLANT_HOST. Browsers warn of it: nobody but this machine has signed it."
