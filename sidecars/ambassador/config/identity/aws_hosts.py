"""The service and the region of AWS that a host name stands for, where that is certain. Pure.

    <service>.<region>.amazonaws.com          sqs.eu-central-1.amazonaws.com, bucket.s3.eu-central-1.amazonaws.com
    <service>.dualstack.<region>…             s3.dualstack.eu-central-1.amazonaws.com
    <service>.<region>.vpce.amazonaws.com     an endpoint in a VPC
    <region>.<service>.amazonaws.com          search-logs-1.eu-central-1.es.amazonaws.com
    <service>.<region>.on.aws                 the URL of a function, VPC Lattice
    <service>.amazonaws.com                   sts and iam: us-east-1

The name in a host differs from the name in a signature for some services; those that are not in the table are not
certain.

https://docs.aws.amazon.com/general/latest/gr/rande.html
"""

from __future__ import annotations

import re

_REGION = re.compile(r"[a-z]{2,3}(?:-[a-z]+){1,2}-[1-9]").fullmatch
_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".on.aws")
_SAME = (
    "acm aoss apigateway appconfig appconfigdata athena autoscaling batch cloudformation cloudtrail cognito-idp"
    " comprehend dynamodb ec2 ecs eks es events execute-api firehose glue iam kinesis kms lambda logs monitoring polly"
    " rds redshift rekognition s3 scheduler secretsmanager sns sqs ssm states sts textract transcribe translate"
    " vpc-lattice-svcs xray"
)
_SERVICES = {name: name for name in _SAME.split()} | {
    "aps-workspaces": "aps",
    "bedrock": "bedrock",
    "bedrock-agent-runtime": "bedrock",
    "bedrock-runtime": "bedrock",
    "email": "ses",
    "lambda-url": "lambda",
    "runtime.sagemaker": "sagemaker",
}
_LAST = ("es", "aoss")  # behind the region
_GLOBAL = ("iam", "sts")
_GLOBAL_REGION = "us-east-1"


def service_and_region(host: str) -> tuple[str, str]:
    """Return both, each "" if the host does not say it."""
    name = host.lower().rstrip(".")
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            labels = name.removesuffix(suffix).split(".")
            break
    else:
        return "", ""
    if labels[-1] == "vpce":
        labels.pop()
    if labels[-1] in _LAST and len(labels) > 1 and _REGION(labels[-2]):
        return labels[-1], labels[-2]
    region = labels.pop() if _REGION(labels[-1]) else ""
    if labels[-1:] == ["dualstack"]:
        labels.pop()
    service = _SERVICES.get(".".join(labels[-2:])) or _SERVICES.get(labels[-1] if labels else "", "")
    if not region and service in _GLOBAL and len(labels) == 1:
        region = _GLOBAL_REGION
    return service, region
