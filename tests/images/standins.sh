#!/bin/sh
# Makes the image plant-disease-test/standins: nginx, Redis, Prometheus, its blackbox exporter and Alertmanager from Debian's
# packages, for a machine that cannot pull the images of compose.yaml. Needs root, mmdebstrap and Docker.
set -eu

# As this machine has it; security updates have a mirror of their own.
mirror=${1:-$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -n 1)}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# forky: upstreams.conf needs nginx 1.27.3. The names of busybox and of the programs are those that the images have.
mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
    --include=busybox,ca-certificates,nginx,prometheus,prometheus-alertmanager,prometheus-blackbox-exporter,redis-server \
    --customize-hook='ln -s busybox "$1/bin/wget"' \
    --customize-hook='ln -s prometheus-alertmanager "$1/usr/bin/alertmanager"' \
    --customize-hook='ln -s prometheus-blackbox-exporter "$1/usr/bin/blackbox_exporter"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    forky "$root" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror forky main"
tar -C "$root" --numeric-owner -c . | docker import - plant-disease-test/standins
