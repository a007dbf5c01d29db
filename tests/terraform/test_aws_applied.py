"""terraform/aws, really applied by the real provider, to moto in place of AWS; read back, planned again, destroyed.

Two regions, the state in the bucket of bootstrap with its lock, every role inside the boundary of bootstrap. What moto
cannot show: whether AWS would take each value, permissions (moto asks nobody for them), health checks, replication,
canaries and alarms at work. moto_server.py says what had to be added to moto.
"""

import dataclasses
import fnmatch
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.terraform import moto_server
from tests.terraform.terraform import ROOT, Copy

pytestmark = pytest.mark.terraform

NAME = "plant-disease"
ACCOUNT = "123456789012"
PRIMARY, STANDBY = REGIONS = ["eu-central-1", "eu-west-1"]
DOMAIN = "plants.example.com"
FUNCTIONS = ["batch", "explain", "predict"]
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary-{NAME}"
CANARY = f"sha256:{'4' * 64}"
# The roles of the pipeline, and the keys by which moto tells in its log who called.
KEYS = {"deploy": "AKIAWHODEPLOYS000000", "plan": "AKIAWHOPLANS00000000"}

# What moto forgets, or says of its own accord: the provider would change it again with each plan.
SHORTCOMINGS = {
    "aws_cloudfront_distribution": {
        "default_cache_behavior.forwarded_values",
        "origin.origin_access_control_id",
        "viewer_certificate.cloudfront_default_certificate",
    },
    "aws_lambda_function": {"image_config"},
    "aws_s3_bucket_replication_configuration": {"rule.source_selection_criteria"},
}


@dataclasses.dataclass(frozen=True)
class Cloud:
    """A moto server, and the environment in which terraform and boto3 take it for AWS."""

    url: str
    environment: dict[str, str]
    log: Path

    def client(self, service: str, region: str = PRIMARY) -> Any:
        """A client of boto3."""
        connect: Any = boto3.client  # typed for two services alone
        return connect(service, region, endpoint_url=self.url, aws_access_key_id="test", aws_secret_access_key="test")

    def list(self, service: str, operation: str, found: str, region: str = PRIMARY, **arguments: Any) -> list[Any]:
        """All pages of a listing; `found` is a JMESPath."""
        pages = self.client(service, region).get_paginator(operation).paginate(**arguments)
        return [item for item in pages.search(found) if item is not None]


@dataclasses.dataclass(frozen=True)
class Applied:
    """What was applied."""

    cloud: Cloud
    copy: Copy
    variables: Path
    zone: str
    digests: dict[str, str]
    before: set[str]
    outputs: dict[str, Any]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    log = tmp_path_factory.mktemp("moto") / "log"
    with moto_server.running(log) as url:
        yield Cloud(
            url,
            {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": KEYS["deploy"],
                "AWS_SECRET_ACCESS_KEY": "test",
                # Of what moto does not know, the provider would ask again for minutes.
                "AWS_MAX_ATTEMPTS": "2",
            },
            log,
        )


@pytest.fixture(scope="module")
def applied(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Applied:
    folder = tmp_path_factory.mktemp("aws")
    copy = Copy.make(folder, "aws 5")
    others = {name: value for name, value in copy.environment.items() if not name.startswith("AWS_")}
    copy = dataclasses.replace(copy, environment={**others, **cloud.environment})
    before = inventory(cloud)
    zone = _zone(cloud)
    copy.init("aws/bootstrap")
    with ThreadPoolExecutor() as pool:
        # The provider looks at the rules of a bucket for a minute before it believes them: nobody has to wait for that.
        settings = [f"-var=regions={json.dumps(REGIONS)}", "-var=repository=owner/plants"]
        bootstrap = pool.submit(copy.run, "aws/bootstrap", *_APPLY, *settings, AWS_ACCESS_KEY_ID="somebody")
        digests = _push(cloud, bootstrap)
        variables = folder / "variables.tfvars.json"
        variables.write_text(
            json.dumps(
                {
                    "domain": DOMAIN,
                    "zone_id": zone,
                    "regions": REGIONS,
                    "registry": f"{ACCOUNT}.dkr.ecr.{PRIMARY}.amazonaws.com/{NAME}",
                    "image_tag": "1.0.0",
                    "functions": {"predict": {"canary": {"digest": CANARY, "percent": 10}}},
                    "limits": {"store": "dynamodb"},
                    "protection": {"log": True},
                    "budget": {"monthly_usd": 100},
                    "alerts": {"email": ["somebody@example.com"], "sms": ["+4915112345678"]},
                    "permissions_boundary_arn": BOUNDARY,
                    "deletion_protection": False,
                }
            )
        )
        backend = [f"-backend-config=bucket={NAME}-{ACCOUNT}-state", f"-backend-config=region={PRIMARY}"]
        copy.run("aws", "init", "-input=false", "-no-color", *backend)
        copy.run("aws", *_APPLY, f"-var-file={variables}")
        bootstrap.result()
    outputs = json.loads(copy.run("aws", "output", "-json").stdout)
    return Applied(
        cloud, copy, variables, zone, digests, before, {key: output["value"] for key, output in outputs.items()}
    )


_APPLY = ["apply", "-auto-approve", "-input=false", "-no-color"]


def _wait_until(done: Any, error: type[Exception], timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if done():
                return
        except error:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.3)


def _zone(cloud: Cloud) -> str:
    # The ids of moto's zones begin with any letter; those of Route 53 with a Z.
    for number in range(1000):
        zone = cloud.client("route53").create_hosted_zone(Name="example.com", CallerReference=str(number))
        key: str = zone["HostedZone"]["Id"].removeprefix("/hostedzone/")
        if key.startswith("Z"):
            return key
        cloud.client("route53").delete_hosted_zone(Id=key)
    raise AssertionError


def _push(cloud: Cloud, bootstrap: "Future[Any]") -> dict[str, str]:
    """An image of each function, once there are repositories; moto copies nothing from one region to the other."""

    def ready() -> bool:
        if bootstrap.done():
            bootstrap.result()
        cloud.client("s3").head_bucket(Bucket=f"{NAME}-{ACCOUNT}-state")
        cloud.client("iam").get_policy(PolicyArn=BOUNDARY)
        return all(len(cloud.list("ecr", "describe_repositories", "repositories", region)) == 3 for region in REGIONS)

    _wait_until(ready, cloud.client("s3").exceptions.ClientError)
    digests = {}
    for region in REGIONS:
        for function in FUNCTIONS:
            manifest = {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "layers": [{"digest": function}],
            }
            image = cloud.client("ecr", region).put_image(
                repositoryName=f"{NAME}/{function}", imageManifest=json.dumps(manifest), imageTag="1.0.0"
            )
            digests[function] = image["image"]["imageId"]["imageDigest"]
    return digests


def inventory(cloud: Cloud) -> set[str]:
    """What there is in the account, of all that terraform/aws makes and that costs, holds data or gives rights."""
    everywhere: list[tuple[str, str, str, dict[str, str]]] = [
        ("acm", "list_certificates", "CertificateSummaryList[].CertificateArn", {}),
        ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName", {}),
        ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName", {}),
        ("dynamodb", "list_tables", "TableNames[]", {}),
        ("ec2", "describe_security_groups", "SecurityGroups[].GroupId", {}),
        ("ec2", "describe_vpcs", "Vpcs[].VpcId", {}),
        ("ecr", "describe_repositories", "repositories[].repositoryName", {}),
        ("elbv2", "describe_load_balancers", "LoadBalancers[].LoadBalancerName", {}),
        ("elbv2", "describe_target_groups", "TargetGroups[].TargetGroupName", {}),
        ("glue", "get_databases", "DatabaseList[].Name", {}),
        ("kms", "list_aliases", "Aliases[].AliasName", {}),
        ("lambda", "list_functions", "Functions[].FunctionName", {}),
        ("logs", "describe_log_groups", "logGroups[].logGroupName", {}),
        ("sns", "list_topics", "Topics[].TopicArn", {}),
    ]
    once = [
        ("budgets", "describe_budgets", "Budgets[].BudgetName", {"AccountId": ACCOUNT}),
        ("cloudfront", "list_distributions", "DistributionList.Items[].Id", {}),
        ("iam", "list_policies", "Policies[].Arn", {"Scope": "Local"}),
        ("iam", "list_roles", "Roles[].RoleName", {}),
        ("route53", "list_health_checks", "HealthChecks[].Id", {}),
    ]
    found = {f"s3 {bucket['Name']}" for bucket in cloud.client("s3").list_buckets()["Buckets"]}
    for region in [*REGIONS, "us-east-1"]:
        for service, operation, path, arguments in everywhere if region != "us-east-1" else everywhere + once:
            found |= {f"{service} {name}" for name in cloud.list(service, operation, path, region, **arguments)}
        found |= {
            f"firehose {name}"
            for name in cloud.client("firehose", region).list_delivery_streams()["DeliveryStreamNames"]
        }
        found |= {
            f"wafv2 {acl['Name']}" for acl in cloud.client("wafv2", region).list_web_acls(Scope="REGIONAL")["WebACLs"]
        }
        # Not those of AWS, which the provider looks for, and moto then makes.
        of_aws = "Aliases[?starts_with(AliasName, 'alias/aws/')].TargetKeyId"
        keys = cloud.list("kms", "list_keys", "Keys[].KeyId", region)
        for key in {*keys} - {*cloud.list("kms", "list_aliases", of_aws, region)}:
            if not cloud.client("kms", region).describe_key(KeyId=key)["KeyMetadata"].get("DeletionDate"):
                found.add(f"kms {key}")
    return found


def _bucket(name: str, region: str) -> str:
    return f"{NAME}-{ACCOUNT}-{region}-{name}"


def _policy(cloud: Cloud, role: str) -> list[dict[str, Any]]:
    """The statements of all inline policies of a role."""
    iam = cloud.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    return [statement for document in documents for statement in document["Statement"]]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_state_is_in_its_bucket_and_not_locked(applied: Applied) -> None:
    s3, bucket = applied.cloud.client("s3"), f"{NAME}-{ACCOUNT}-state"
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [f"{NAME}/terraform.tfstate"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_object(Bucket=bucket, Key=f"{NAME}/terraform.tfstate")["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize("region", REGIONS)
def test_buckets_are_private_and_encrypted(applied: Applied, region: str) -> None:
    s3, kms = applied.cloud.client("s3", region), applied.cloud.client("kms", region)
    key = kms.describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]["Arn"]
    versioned = {"models": True, "keys": True, "uploads": False, "usage": True, "access": False}
    for name, old_versions in versioned.items():
        bucket = _bucket(name, region)
        assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
        assert s3.get_bucket_versioning(Bucket=bucket).get("Status") == ("Enabled" if old_versions else None)
        [rule] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        encryption = rule["ApplyServerSideEncryptionByDefault"]
        # A load balancer writes its logs only where S3's own key encrypts.
        assert encryption == (
            {"SSEAlgorithm": "AES256"} if name == "access" else {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        )
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        [plain] = [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"]
        assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        [ownership] = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        assert ownership["ObjectOwnership"] == "BucketOwnerEnforced"


@pytest.mark.parametrize("region", REGIONS)
def test_uploads_are_gone_after_a_day_and_other_pages_may_not_put_them(applied: Applied, region: str) -> None:
    s3, bucket = applied.cloud.client("s3", region), _bucket("uploads", region)
    rules = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert rules["expire-uploads"]["Expiration"] == {"Days": 1}
    assert rules["expire-uploads"]["Filter"] == {"Prefix": "in/"}
    assert rules["incomplete"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    [cors] = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert (cors["AllowedOrigins"], cors["AllowedMethods"]) == ([f"https://{DOMAIN}"], ["PUT"])


@pytest.mark.parametrize("region", REGIONS)
def test_usage_can_be_restored_for_a_month_and_answers_are_gone_after_a_day(applied: Applied, region: str) -> None:
    s3 = applied.cloud.client("s3", region)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=_bucket("usage", region))["Rules"]
    old = {rule["ID"]: rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") for rule in rules}
    assert {"old-versions": 30, "expire-events": None, "expire-files": None, "expire-answers": 1}.items() <= old.items()


@pytest.mark.parametrize("name", ["models", "keys"])
def test_what_the_standby_needs_is_copied_to_it(applied: Applied, name: str) -> None:
    s3 = applied.cloud.client("s3")
    replication = s3.get_bucket_replication(Bucket=_bucket(name, PRIMARY))["ReplicationConfiguration"]
    [rule] = replication["Rules"]
    assert (rule["Status"], rule["Destination"]["Bucket"]) == ("Enabled", f"arn:aws:s3:::{_bucket(name, STANDBY)}")
    role = replication["Role"].rpartition("/")[2]
    assert role == f"{NAME}-{name}-replication"
    may = {action for statement in _policy(applied.cloud, role) for action in _listed(statement["Action"])}
    assert {"s3:GetObjectVersionForReplication", "s3:ReplicateObject", "kms:Decrypt", "kms:Encrypt"} <= may


@pytest.mark.parametrize("region", REGIONS)
def test_functions_run_from_digests_and_are_told_no_secret(applied: Applied, region: str) -> None:
    functions = applied.cloud.client("lambda", region)
    images = {f"{NAME}-{name}": (name, digest) for name, digest in applied.digests.items()}
    images[f"{NAME}-predict-canary"] = ("predict", CANARY)
    found = applied.cloud.list("lambda", "list_functions", "Functions[].FunctionName", region)
    assert sorted(found) == sorted(images)
    for function, (repository, digest) in images.items():
        told = functions.get_function(FunctionName=function)
        expected = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{NAME}/{repository}@{digest}"
        assert told["Code"]["ImageUri"] == expected
        environment = told["Configuration"]["Environment"]["Variables"]
        assert environment["PLANT_AUTH"] == "required"
        assert environment["PLANT_LIMITS_URI"] == f"dynamodb://{NAME}-limits"
        assert environment["PLANT_MODEL_URI"] == f"s3://{_bucket('models', region)}/models"
        secret = ("SECRET", "PASSWORD", "TOKEN", "PRIVATE", "HEADERS", "API_KEY_")
        assert not [name for name in environment if any(word in name for word in secret)]
        assert told["Configuration"]["KMSKeyArn"].startswith(f"arn:aws:kms:{region}:")
        alias = functions.get_alias(FunctionName=function, Name="live")
        assert alias["FunctionVersion"].isdigit()
        policy = json.loads(functions.get_policy(FunctionName=function, Qualifier="live")["Policy"])
        [statement] = policy["Statement"]
        assert statement["Principal"] == {"Service": "elasticloadbalancing.amazonaws.com"}
        assert f":targetgroup/{NAME}-" in json.dumps(statement["Condition"])


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("function", [*FUNCTIONS, "predict-canary"])
def test_a_function_may_do_what_it_does_and_no_more(applied: Applied, function: str, region: str) -> None:
    statements = _policy(applied.cloud, f"{NAME}-{function}-{region}")
    for statement in statements:
        for action in _listed(statement["Action"]):
            assert "*" not in action
            assert _listed(statement["Resource"]) != ["*"] or action.startswith("xray:")
    writes = {
        resource
        for statement in statements
        if "s3:PutObject" in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }
    # Who signs an upload must be allowed it; only predict does.
    expected = {f"arn:aws:s3:::{_bucket('usage', region)}/usage/*"}
    if function.startswith("predict"):
        expected.add(f"arn:aws:s3:::{_bucket('uploads', region)}/in/*")
    assert writes == expected


def test_the_boundary_of_bootstrap_lets_every_role_do_what_its_policy_says(applied: Applied) -> None:
    iam = applied.cloud.client("iam")
    version = iam.get_policy(PolicyArn=BOUNDARY)["Policy"]["DefaultVersionId"]
    boundary = iam.get_policy_version(PolicyArn=BOUNDARY, VersionId=version)["PolicyVersion"]["Document"]["Statement"]

    def inside(action: str, resource: str) -> bool:
        return any(
            any(fnmatch.fnmatchcase(action, pattern) for pattern in _listed(statement["Action"]))
            and any(fnmatch.fnmatchcase(resource, pattern) for pattern in _listed(statement["Resource"]))
            for statement in boundary
        )

    roles = [role for role in applied.cloud.list("iam", "list_roles", "Roles[].RoleName") if role.startswith(NAME)]
    assert len(roles) == 2 * (4 + 2) + 2
    outside = [
        f"{role}: {action} on {resource}"
        for role in roles
        for statement in _policy(applied.cloud, role)
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        if not inside(action, resource)
    ]
    assert outside == []
    for role in roles:
        assert iam.get_role(RoleName=role)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY


@pytest.mark.parametrize("region", REGIONS)
def test_the_load_balancer_serves_https_and_sends_paths_to_functions(applied: Applied, region: str) -> None:
    elb = applied.cloud.client("elbv2", region)
    [balancer] = elb.describe_load_balancers()["LoadBalancers"]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])["Attributes"]
    options = {attribute["Key"]: attribute["Value"] for attribute in attributes}
    assert options["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert (options["access_logs.s3.enabled"], options["access_logs.s3.bucket"]) == ("true", _bucket("access", region))

    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    http, https = sorted(listeners, key=lambda listener: listener["Port"])
    [action] = http["DefaultActions"]
    assert (http["Port"], action["Type"], action["RedirectConfig"]["Protocol"]) == (80, "redirect", "HTTPS")
    assert action["RedirectConfig"]["StatusCode"] == "HTTP_301"
    assert (https["Port"], https["SslPolicy"]) == (443, "ELBSecurityPolicy-TLS13-1-2-Res-2021-06")
    [certificate] = https["Certificates"]
    described = applied.cloud.client("acm", region).describe_certificate(CertificateArn=certificate["CertificateArn"])
    assert described["Certificate"]["DomainName"] == f"api.{DOMAIN}"

    groups = {group["TargetGroupArn"]: group for group in elb.describe_target_groups()["TargetGroups"]}
    served: dict[str, dict[str, int]] = {}
    for rule in elb.describe_rules(ListenerArn=https["ListenerArn"])["Rules"]:
        [action] = rule["Actions"]
        if rule["Priority"] == "default":
            assert action["FixedResponseConfig"]["StatusCode"] == "404"
            continue
        shares = {}
        for target in action["ForwardConfig"]["TargetGroups"]:
            [health] = elb.describe_target_health(TargetGroupArn=target["TargetGroupArn"])["TargetHealthDescriptions"]
            assert groups[target["TargetGroupArn"]]["TargetType"] == "lambda"
            assert health["Target"]["Id"].endswith(":live")
            shares[health["Target"]["Id"].split(":")[-2].removeprefix(f"{NAME}-")] = int(target["Weight"])
        [condition] = rule["Conditions"]
        served |= dict.fromkeys(condition["PathPatternConfig"]["Values"], shares)
    assert served["/predict"] == served["/v1/predict"] == {"predict": 90, "predict-canary": 10}
    assert served["/batch"] == served["/v1/batch"] == {"batch": 100}
    assert served["/explain"] == served["/v1/explain"] == {"explain": 100}
    assert {"/health/*", "/uploads", "/classes", "/openapi.json", "/usage"} <= set(served)
    assert not [path for path in served if "metrics" in path]


@pytest.mark.parametrize("region", REGIONS)
def test_the_firewall_stands_before_the_load_balancer(applied: Applied, region: str) -> None:
    [balancer] = applied.cloud.client("elbv2", region).describe_load_balancers()["LoadBalancers"]
    waf = applied.cloud.client("wafv2", region)
    acl = waf.get_web_acl_for_resource(ResourceArn=balancer["LoadBalancerArn"])["WebACL"]
    rules = {rule["Name"]: rule for rule in acl["Rules"]}
    limits = {name: rule["Statement"]["RateBasedStatement"]["Limit"] for name, rule in rules.items() if "rate" in name}
    assert limits["rate-by-x-api-key"] == limits["rate-by-authorization"] == 600
    assert limits["rate-by-address"] == 300
    for name in limits:
        assert rules[name]["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 429
    # A photo is larger than what AWS's rules look at, and its bytes match their patterns by chance.
    common = rules["AWSManagedRulesCommonRuleSet"]["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    assert {"SizeRestrictions_BODY", "CrossSiteScripting_BODY"} <= {rule["Name"] for rule in common}
    assert all(set(rule["ActionToUse"]) == {"Count"} for rule in common)
    logging = waf.get_logging_configuration(ResourceArn=acl["ARN"])["LoggingConfiguration"]
    redacted = {field["SingleHeader"]["Name"] for field in logging["RedactedFields"]}
    assert redacted == {"x-api-key", "authorization"}


@pytest.mark.parametrize("region", REGIONS)
def test_every_function_has_its_alarms_and_somebody_hears_them(applied: Applied, region: str) -> None:
    found = applied.cloud.list("cloudwatch", "describe_alarms", "MetricAlarms[]", region)
    alarms = {alarm["AlarmName"]: alarm for alarm in found}
    kinds = ["errors", "throttles", "5xx", "latency", "overloaded", "no-model", "keys", "limits", "model-loads"]
    expected = {f"{NAME}-{function}-{kind}" for function in [*FUNCTIONS, "predict-canary"] for kind in kinds}
    assert expected <= set(alarms)
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"], name
        assert all(f":{region}:" in topic for topic in alarm["AlarmActions"]), name
    parts = applied.cloud.list(
        "cloudwatch", "describe_alarms", "CompositeAlarms[]", region, AlarmTypes=["CompositeAlarm"]
    )
    failing = {alarm["AlarmName"]: alarm["AlarmRule"] for alarm in parts}
    assert f'ALARM("{NAME}-predict-errors")' in failing[f"{NAME}-predict-failing"]
    wanted = applied.outputs["alarms"]["primary" if region == PRIMARY else "standby"]
    assert set(wanted) <= {*alarms, *failing}

    told = applied.cloud.list("sns", "list_subscriptions", "Subscriptions[].[Endpoint, Protocol]", region)
    assert sorted(told) == [["+4915112345678", "sms"], ["somebody@example.com", "email"]]


def test_the_site_is_watched_where_health_checks_report(applied: Applied) -> None:
    alarms = applied.cloud.list("cloudwatch", "describe_alarms", "MetricAlarms[]", "us-east-1")
    checks = {alarm["Dimensions"][0]["Value"] for alarm in alarms if alarm["Namespace"] == "AWS/Route53"}
    assert checks == set(applied.cloud.list("route53", "list_health_checks", "HealthChecks[].Id"))


def test_the_standby_answers_when_the_first_region_does_not(applied: Applied) -> None:
    balancers = {
        region: applied.cloud.client("elbv2", region).describe_load_balancers()["LoadBalancers"][0]
        for region in REGIONS
    }
    checks = {
        check["Id"]: check["HealthCheckConfig"]
        for check in applied.cloud.list("route53", "list_health_checks", "HealthChecks[]")
    }
    records = [
        record
        for record in applied.cloud.list(
            "route53", "list_resource_record_sets", "ResourceRecordSets[]", HostedZoneId=applied.zone
        )
        if record["Name"] == f"api.{DOMAIN}." and "Failover" in record
    ]
    assert {record["Failover"] for record in records} == {"PRIMARY", "SECONDARY"}
    for record in records:
        balancer = balancers[PRIMARY if record["Failover"] == "PRIMARY" else STANDBY]
        assert record["AliasTarget"]["DNSName"].rstrip(".") == balancer["DNSName"]
        check = checks[record["HealthCheckId"]]
        assert (check["Type"], check["ResourcePath"]) == ("HTTPS", "/health/ready")
        assert check["FullyQualifiedDomainName"] == balancer["DNSName"]


@pytest.mark.parametrize("region", REGIONS)
def test_photos_are_counted_in_one_table_of_both_regions(applied: Applied, region: str) -> None:
    dynamodb = applied.cloud.client("dynamodb", region)
    table = dynamodb.describe_table(TableName=f"{NAME}-limits")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "subject", "KeyType": "HASH"}]
    assert table["SSEDescription"]["SSEType"] == "KMS"
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    if region == PRIMARY:
        [replica] = table["Replicas"]
        key = applied.cloud.client("kms", STANDBY).describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]["Arn"]
        assert (replica["RegionName"], replica["KMSMasterKeyId"]) == (STANDBY, key)
        expiry = dynamodb.describe_time_to_live(TableName=f"{NAME}-limits")["TimeToLiveDescription"]
        assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


@pytest.mark.parametrize("region", REGIONS)
def test_logs_are_encrypted_kept_for_a_while_and_counted(applied: Applied, region: str) -> None:
    groups = applied.cloud.list("logs", "describe_log_groups", "logGroups[]", region)
    expected = {f"/aws/lambda/{NAME}-{function}" for function in [*FUNCTIONS, "predict-canary"]}
    assert {group["logGroupName"] for group in groups} == {*expected, f"aws-waf-logs-{NAME}"}
    for group in groups:
        assert group["retentionInDays"] == 30
        assert group["kmsKeyId"].startswith(f"arn:aws:kms:{region}:")
    logs = applied.cloud.client("logs", region)
    for name in expected:
        [usage] = logs.describe_subscription_filters(logGroupName=name)["subscriptionFilters"]
        assert usage["filterPattern"] == '{ $.event = "usage" }'
        assert usage["destinationArn"].endswith(f":deliverystream/{NAME}-usage")


@pytest.mark.parametrize("region", REGIONS)
def test_usage_is_delivered_to_a_bucket_and_can_be_asked_for(applied: Applied, region: str) -> None:
    firehose = applied.cloud.client("firehose", region)
    stream = firehose.describe_delivery_stream(DeliveryStreamName=f"{NAME}-usage")["DeliveryStreamDescription"]
    [destination] = stream["Destinations"]
    s3 = destination["ExtendedS3DestinationDescription"]
    assert (s3["BucketARN"], s3["CompressionFormat"]) == (f"arn:aws:s3:::{_bucket('usage', region)}", "GZIP")
    assert s3["Prefix"].startswith("events/dt=")
    processors = s3["ProcessingConfiguration"]["Processors"]
    assert [processor["Type"] for processor in processors][-1] == "AppendDelimiterToRecord"
    assert processors[-1]["Parameters"] == [{"ParameterName": "Delimiter", "ParameterValue": r"\n"}]
    table = applied.cloud.client("glue", region).get_table(DatabaseName="plant_disease_usage", Name="events")["Table"]
    assert table["StorageDescriptor"]["Location"] == f"s3://{_bucket('usage', region)}/events/"
    group = applied.cloud.client("athena", region).get_work_group(WorkGroup=f"{NAME}-usage")["WorkGroup"]
    result = group["Configuration"]["ResultConfiguration"]
    assert result["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"


def test_the_page_is_behind_cloudfront_alone(applied: Applied) -> None:
    bucket = f"{NAME}-{ACCOUNT}-page"
    [page] = applied.cloud.list("cloudfront", "list_distributions", "DistributionList.Items[]")
    assert page["Aliases"]["Items"] == [DOMAIN]
    assert page["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "redirect-to-https"
    assert page["ViewerCertificate"]["ACMCertificateArn"].startswith("arn:aws:acm:us-east-1:")
    assert page["Origins"]["Items"][0]["DomainName"] == f"{bucket}.s3.{PRIMARY}.amazonaws.com"
    s3 = applied.cloud.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    [read] = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    assert read["Condition"] == {"StringEquals": {"aws:SourceArn": page["ARN"]}}
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    config = json.loads(s3.get_object(Bucket=bucket, Key="config.json")["Body"].read())
    assert set(config["endpoints"].values()) == {f"https://api.{DOMAIN}/"}
    expected = {path.relative_to(ROOT / "static_ui").as_posix() for path in (ROOT / "static_ui").rglob("*")}
    files = set(applied.cloud.list("s3", "list_objects_v2", "Contents[].Key", Bucket=bucket))
    assert files == {path for path in expected if (ROOT / "static_ui" / path).is_file()} | {"config.json"}


def test_the_budget_tells_somebody(applied: Applied) -> None:
    [budget] = applied.cloud.list("budgets", "describe_budgets", "Budgets[]", "us-east-1", AccountId=ACCOUNT)
    assert float(budget["BudgetLimit"]["Amount"]) == 100


def _differences(before: Any, after: Any, unknown: Any, path: str = "") -> Iterator[str]:
    """Paths of what differs. What will only be known when it is applied follows from another difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {*before, *after}:
            later = unknown.get(key) if isinstance(unknown, dict) else unknown
            yield from _differences(before.get(key), after.get(key), later, f"{path}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        later = unknown if isinstance(unknown, list) and len(unknown) == len(after) else [unknown] * len(after)
        for one, other, what in zip(before, after, later, strict=True):
            yield from _differences(one, other, what, path)
    elif before != after and unknown is not True:
        yield path


def test_a_second_plan_changes_nothing(applied: Applied) -> None:
    plan = applied.copy.folder / "plan"
    settings = ["-input=false", "-no-color", f"-var-file={applied.variables}", f"-out={plan}"]
    applied.copy.run("aws", "plan", *settings, AWS_ACCESS_KEY_ID=KEYS["plan"])
    planned = json.loads(applied.copy.run("aws", "show", "-json", str(plan)).stdout)
    changes = {resource["address"]: resource["change"] for resource in planned["resource_changes"]}
    types = {resource["address"]: resource["type"] for resource in planned["resource_changes"]}
    assert {action for change in changes.values() for action in change["actions"]} <= {"no-op", "read", "update"}
    unexplained = {
        f"{address}: {path}"
        for address, change in changes.items()
        if change["actions"] == ["update"]
        for path in _differences(change["before"], change["after"], change["after_unknown"])
        if path not in SHORTCOMINGS.get(types[address], set())
    }
    assert unexplained == set()


def test_a_canary_goes_away_without_a_trace(applied: Applied) -> None:
    """What shift and back do. moto too refuses to delete a target group that a rule still forwards to."""
    variables = json.loads(applied.variables.read_text())
    del variables["functions"]
    applied.variables.write_text(json.dumps(variables))
    applied.copy.run("aws", *_APPLY, "-refresh=false", f"-var-file={applied.variables}")
    for region in REGIONS:
        functions = applied.cloud.list("lambda", "list_functions", "Functions[].FunctionName", region)
        assert sorted(functions) == [f"{NAME}-{function}" for function in FUNCTIONS]
        elb = applied.cloud.client("elbv2", region)
        groups = {
            group["TargetGroupArn"]: group["TargetGroupName"] for group in elb.describe_target_groups()["TargetGroups"]
        }
        assert sorted(groups.values()) == [f"{NAME}-{function}" for function in FUNCTIONS]
        [balancer] = elb.describe_load_balancers()["LoadBalancers"]
        for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
            for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
                if rule["Priority"] != "default":
                    [target] = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
                    assert (target["TargetGroupArn"] in groups, int(target["Weight"])) == (True, 100)


def test_nothing_is_left_when_it_is_destroyed(applied: Applied) -> None:
    """Deletion is not protected here. What bootstrap made stays; keys are deleted after their thirty days."""
    destroy = ["destroy", "-auto-approve", "-input=false", "-no-color", "-refresh=false"]
    applied.copy.run("aws", *destroy, f"-var-file={applied.variables}")
    left = inventory(applied.cloud) - applied.before
    of_bootstrap = {f"s3 {NAME}-{ACCOUNT}-state", f"iam {BOUNDARY}"}
    of_bootstrap |= {f"ecr {NAME}/{function}" for function in FUNCTIONS}
    assert {name for name in left if not any(f"{role}-{NAME}" in name for role in KEYS)} == of_bootstrap
    records = applied.cloud.list(
        "route53", "list_resource_record_sets", "ResourceRecordSets[].Type", HostedZoneId=applied.zone
    )
    assert sorted(records) == ["NS", "SOA"]


@pytest.mark.parametrize("role", KEYS)
def test_a_role_of_the_pipeline_may_do_all_that_terraform_did(applied: Applied, role: str) -> None:
    """By the names of actions alone, without resources and conditions; and moto does not print what S3 is asked."""
    iam = applied.cloud.client("iam")
    patterns = []
    for policy in iam.list_attached_role_policies(RoleName=f"{role}-{NAME}")["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
        allowed = [statement for statement in document["Statement"] if statement["Effect"] == "Allow"]
        patterns += [pattern for statement in allowed for pattern in _listed(statement["Action"])]
    calls = re.findall(rf"^called {KEYS[role]} (\w+):(\w+)$", applied.cloud.log.read_text(), re.MULTILINE)
    prefixes = {"awslambda": "lambda", "elbv2": "elasticloadbalancing"}
    # Everybody may ask who he is.
    done = {f"{prefixes.get(service, service)}:{action}" for service, action in calls if service != "sts"}
    assert {"elasticloadbalancing:DescribeLoadBalancers", "kms:DescribeKey", "iam:GetRolePolicy"} <= done
    assert {call for call in done if not any(fnmatch.fnmatchcase(call, pattern) for pattern in patterns)} == set()
