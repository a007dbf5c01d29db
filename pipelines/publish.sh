#!/usr/bin/env bash
# Push the three images that `make images` has built, sign them without a key of our own, attach what is in them, and write
# their digests to FILE. Needs docker (logged in), cosign (with an identity token) and build/sbom.
#
# Usage: pipelines/publish.sh REGISTRY TAG FILE
set -euo pipefail
registry=$1 tag=$2 file=$3
digests=()
for image in predict batch explain; do
    name=$registry/$image
    docker tag "plant-disease/$image" "$name:$tag"
    docker push --quiet "$name:$tag" >&2
    # NAME@sha256:..., of this repository: an image may have digests of several.
    reference=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$name:$tag" | grep -F "$name@" | head -n 1)
    cosign sign --yes "$reference"
    cosign attest --yes --type spdxjson --predicate "build/sbom/$image.spdx.json" "$reference"
    digests+=("\"$image\": \"${reference#*@}\"")
done
(IFS=, && echo "{${digests[*]}}") >"$file"
