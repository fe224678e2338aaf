"""Prints a template as CloudFormation gets it, after SAM's transform."""
import json
import sys

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

with open(sys.argv[1]) as f:
    template = yaml_parse(f.read())
for resource in template["Resources"].values():
    # What "aws cloudformation package" puts in the place of a folder.
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = {"Bucket": "packages", "Key": "switchyard.zip"}
session = boto3.Session(region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
json.dump(Translator({}, Parser(), boto_session=session).translate(template, {}), sys.stdout, indent=1)
