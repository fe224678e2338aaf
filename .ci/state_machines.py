"""Writes a CloudFormation template that has the state machines of these files, for cfn-lint."""

import json
import re
import sys

NUMBERS = ("TimeoutSeconds", "HeartbeatSeconds", "Seconds", "MaxConcurrency")


def known_to_cfn_lint(value):
    """What cfn-lint 1.58 does not know of JSONata is replaced: an expression where a number
    stands, and a list as Output. Both are in the Amazon States Language."""
    if isinstance(value, list):
        return [known_to_cfn_lint(v) for v in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for key, v in value.items():
        if key in NUMBERS and isinstance(v, str) and v.startswith("{%"):
            v = 1
        elif key == "Output" and isinstance(v, list):
            v = {"list": v}
        changed[key] = known_to_cfn_lint(v)
    return changed


def resource(path):
    with open(path) as f:
        text = f.read()
    properties = {
        "RoleArn": "arn:aws:iam::123456789012:role/pipelines",
        "Definition": known_to_cfn_lint(json.loads(text)),
    }
    placeholders = sorted(set(re.findall(r"\$\{([A-Za-z]+)\}", text)))
    if placeholders:
        properties["DefinitionSubstitutions"] = dict.fromkeys(placeholders, "value")
    return {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}


resources = {re.sub("[^A-Za-z0-9]", "", path): resource(path) for path in sys.argv[1:]}
json.dump({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}, sys.stdout, indent=1)
