#!/usr/bin/env bash
# One release, in steps that every CI can take:
#
#   plan      plan the canary; build/canary.tfplan is what is approved
#   apply     apply that plan
#   smoke     ask the service so often that the canary must have answered
#   shift     all requests to the new images, and ask once more
#   back      what was live before `plan`, wherever the release has stopped
#   release   apply, smoke, shift; and back if one of them fails
#
# Usage: pipelines/release.sh STEP
#
# build/digests.json has the new images (publish.sh). Later steps need the files that `plan` has left in build/. Environment:
#
#   ROOT, STATE_BUCKET   terraform/gcp or terraform/aws, and where its state is (on AWS STATE_REGION as well)
#   BASE, TAG            the deployment's variables in JSON, and the tag of the new images
#   URL, SMOKE_KEY       the API, and a key for it
#   PERCENT              share of the canary (10)
set -euo pipefail
cd "$(dirname "$0")/.."
PERCENT=${PERCENT:-10}

initialise() {
    # What was planned is applied with the very providers that it was planned with.
    if [[ -f build/terraform.lock.hcl ]]; then cp build/terraform.lock.hcl "$ROOT/.terraform.lock.hcl"; fi
    terraform -chdir="$ROOT" init -input=false -backend-config="bucket=$STATE_BUCKET" \
        ${STATE_REGION:+-backend-config="region=$STATE_REGION"}
}

# The variables of a step, as arguments of terraform: canary, full or back.
variables() {
    python3 pipelines/release.py "$1" --base "$BASE" --live build/live.json --new build/digests.json --percent "$PERCENT" \
        >"build/$1.tfvars.json"
    arguments=(-input=false -lock-timeout=5m -var-file="$PWD/$BASE" -var="image_tag=$TAG" -var-file="$PWD/build/$1.tfvars.json")
}

plan() {
    rm -f build/terraform.lock.hcl
    initialise
    terraform -chdir="$ROOT" output -json image_digests >build/live.json
    variables canary
    terraform -chdir="$ROOT" plan "${arguments[@]}" -out="$PWD/build/canary.tfplan"
    cp "$ROOT/.terraform.lock.hcl" build/terraform.lock.hcl
}

apply() {
    initialise
    terraform -chdir="$ROOT" apply -input=false -lock-timeout=5m "$PWD/build/canary.tfplan"
}

smoke() {
    python3 tools/smoke.py "$URL" --key-env SMOKE_KEY --canary "$PERCENT"
}

shift_all() {
    initialise
    variables full
    terraform -chdir="$ROOT" apply "${arguments[@]}" -auto-approve
    python3 tools/smoke.py "$URL" --key-env SMOKE_KEY
}

back() {
    initialise
    variables back
    terraform -chdir="$ROOT" apply "${arguments[@]}" -auto-approve
}

release() {
    local step
    for step in apply smoke shift; do
        # A process of its own: inside a condition bash would go on after a command that fails.
        if ! "$0" "$step"; then
            echo "Error: $step failed; back to what was live" >&2
            back
            return 1
        fi
    done
}

case ${1:-} in
plan | apply | smoke | back | release) "$1" ;;
shift) shift_all ;;
*)
    echo "Usage: $0 plan|apply|smoke|shift|back|release" >&2
    exit 2
    ;;
esac
