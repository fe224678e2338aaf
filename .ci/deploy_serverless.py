"""Makes serverless.yaml's stack in moto, and has events find their way to its queue.

The function and its HTTP API are left out, and moto leaves out what it does not know:
alarms, and the policies of queues and buckets. The translated template is the argument."""
import ast
import json
import logging
import os
import sys
import warnings

os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="eu-west-1")
for name in ("AWS_PROFILE", "AWS_CA_BUNDLE"):
    os.environ.pop(name, None)

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)  # of what moto does not know

import boto3
from moto import mock_aws

MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:"
REPOSITORY = "arn:aws:codecommit:eu-west-1:123456789012:"


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def stack(template, **parameters):
    cloud = boto3.client("cloudformation")
    cloud.create_stack(
        StackName="switchyard", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    )
    made = cloud.describe_stack_resources(StackName="switchyard")["StackResources"]
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in made if "LogicalResourceId" in r}


def policies(role):
    iam = boto3.client("iam")
    found = {}
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        if isinstance(document, str):  # moto, for policies of a role in a template
            document = ast.literal_eval(document)
        found[name] = document["Statement"]
    return found


def messages(queue):
    got = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return sorted(json.loads(m["Body"])["detail"]["n"] for m in got)


def send(*events):
    boto3.client("events").put_events(Entries=[
        {"Source": source, "DetailType": kind, "Resources": resources, "Detail": json.dumps(detail)}
        for source, kind, resources, detail in events
    ])


@mock_aws
def everything(template):
    made = stack(template, StateMachines=f"{MACHINE}deploy,{MACHINE}test", CodeCommitRepositories=f"{REPOSITORY}api", CodePipeline="true")
    got = policies(made["Role"])
    starts = [s["Resource"] for s in got["executions"] if "states:StartExecution" in s["Action"]]
    expect("what may be started", starts, [[f"{MACHINE}deploy", f"{MACHINE}test"], [f"{MACHINE}deploy:*", f"{MACHINE}test:*"]])
    expect("what may be described", [s["Resource"] for s in got["executions"] if "states:DescribeExecution" in s["Action"]],
           [[f"{EXECUTION}deploy:*", f"{EXECUTION}test:*"]])
    change, state, request = "Step Functions Execution Status Change", "CodeCommit Repository State Change", "CodeCommit Pull Request State Change"
    send(
        ("aws.states", change, [], {"n": 1, "stateMachineArn": f"{MACHINE}deploy"}),
        ("aws.states", change, [], {"n": 2, "stateMachineArn": f"{MACHINE}test"}),
        ("aws.states", change, [], {"n": 3, "stateMachineArn": f"{MACHINE}another"}),
        ("aws.codecommit", state, [f"{REPOSITORY}api"], {"n": 4}),
        ("aws.codecommit", request, [f"{REPOSITORY}api"], {"n": 5}),
        ("aws.codecommit", state, [f"{REPOSITORY}another"], {"n": 6}),
        ("aws.codecommit", "CodeCommit Comment on Commit", [f"{REPOSITORY}api"], {"n": 7}),
    )
    expect("events on the queue", messages(made["Queue"]), [1, 2, 4, 5])
    expect("events on the dead-letter queue", messages(made["DeadQueue"]), [])


@mock_aws
def least(template):
    made = stack(template, StateMachines=f"{MACHINE}deploy")
    got = policies(made["Role"])
    expect("policies without CodeCommit, CodePipeline and roles", sorted(got), ["deliveries", "executions", "log"])
    if "CodeCommitRule" in made:
        sys.exit("there is a rule for CodeCommit although no repository is named")


with open(sys.argv[1]) as f:
    template = json.load(f)
template["Resources"] = {
    name: r for name, r in template["Resources"].items()
    if r["Type"].split("::")[1] not in ("Lambda", "ApiGatewayV2") and name not in ("InvokePolicy", "FunctionAudit") and "Function" not in json.dumps(r.get("Properties", {}).get("Dimensions", ""))
}
template["Outputs"] = {}
everything(template)
least(template)
print("the serverless stack was made, and events found its queue")
