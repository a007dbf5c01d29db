"""What Terraform's own tests cannot ask of the service on Google Cloud: in what order, and every role there is."""

import re
from pathlib import Path

import pytest

from tests.terraform.terraform import ROOT, Copy

CODE = {
    path: path.read_text()
    for folder in ("gcp", "modules/gcp")
    for path in sorted((ROOT / "terraform" / folder).rglob("*.tf"))
}
RIGHTS = {
    "module.jobs.google_pubsub_topic_iam_member.publisher",
    "module.jobs.google_service_account_iam_member.signer",
    "module.jobs.google_storage_bucket_iam_member.worker",
    "module.keys.google_secret_manager_secret_iam_member.readers",
    "module.limits.google_secret_manager_secret_iam_member.readers",
    "module.models.google_storage_bucket_iam_member.readers",
    "module.uploads.google_storage_bucket_iam_member.readers",
    "module.uploads.google_storage_bucket_iam_member.signer",
    "module.uploads.google_service_account_iam_member.signer",
    "module.usage.google_storage_bucket_iam_member.writers",
    "module.function.google_project_iam_member.traces",
}


@pytest.mark.terraform
def test_functions_are_made_after_their_rights(tmp_path: Path) -> None:
    """Google refuses a service that may not read its secrets: the first apply would fail."""
    copy = Copy.make(tmp_path, "google 8")
    (tmp_path / "terraform/gcp/local_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    copy.run("gcp", "init", "-input=false", "-no-color")
    edges = re.findall(r'"(\S+)" -> "(\S+)"', copy.run("gcp", "graph").stdout)
    before = {end for start, end in edges if start == "module.function.google_cloud_run_v2_service.function"}
    assert before >= RIGHTS, RIGHTS - before


def test_no_role_is_a_basic_one_and_none_takes_the_place_of_others() -> None:
    roles = {role for text in CODE.values() for role in re.findall(r'"(roles/[^"]+)"', text)}
    assert "roles/run.admin" in roles
    assert roles.isdisjoint({"roles/owner", "roles/editor", "roles/viewer"})
    assert not [path.name for path, text in CODE.items() if re.search(r'"google_\w+_iam_(binding|policy)"', text)]


def test_nothing_is_public_but_the_page() -> None:
    public = [path.parent.name for path, text in CODE.items() if "allUsers" in text or "allAuthenticatedUsers" in text]
    assert public == ["page"]
