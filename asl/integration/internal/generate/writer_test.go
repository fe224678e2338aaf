package main

import (
	"slices"
	"strings"
	"testing"

	"switchyard/asl/integration"
	"switchyard/internal/awsmodel"
)

func TestNamesAreThoseOfTheSDKForJava(t *testing.T) {
	for member, want := range map[string]string{
		"stackName": "StackName", "StackName": "StackName", "DBInstanceIdentifier": "DbInstanceIdentifier", "SSEKMSKeyId": "SsekmsKeyId",
		"EnableIAMDatabaseAuthentication": "EnableIAMDatabaseAuthentication", "S": "S", "VpcSecurityGroupIds": "VpcSecurityGroupIds",
		"equals": "EqualsValue", "default": "Default DefaultValue", "BOOL": "Bool BOOL", "NULL": "Null NULL", "S3Key": "S3Key",
	} {
		if got := strings.Join(sdkNames(member), " "); got != want {
			t.Errorf("%s is %s, want %s", member, got, want)
		}
	}
	for operation, want := range map[string]string{"StartDBInstance": "startDBInstance", "GetObject": "getObject", "BatchGetItem": "batchGetItem"} {
		if got := integration.LowerWord(operation); got != want {
			t.Errorf("%s is %s, want %s", operation, got, want)
		}
	}
	for id, want := range map[string]string{
		"SFN": "sfn", "CloudWatch Logs": "cloudwatchlogs", "Config Service": "config", "Database Migration Service": "databasemigration",
		"Elastic Load Balancing v2": "elasticloadbalancingv2", "ACM PCA": "acmpca", "Application Discovery Service": "applicationdiscovery",
	} {
		if got := sdkService(id); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
}

// The made-up service has each kind of shape once.
func TestWriterWritesEachShapeOnce(t *testing.T) {
	ref := func(name string) awsmodel.Reference { return awsmodel.Reference{Shape: name} }
	m := &awsmodel.Model{Shapes: map[string]*awsmodel.Shape{
		"Text": {Type: "string"}, "Count": {Type: "integer"}, "Any": {Type: "structure", Document: true},
		"Train": {Type: "structure", Required: []string{"name", "token"}, Members: map[string]awsmodel.Reference{
			"name": ref("Text"), "token": {Shape: "Text", IdempotencyToken: true}, "wagons": ref("Wagons"), "tags": ref("Tags"), "more": ref("Any"),
		}},
		"Wagons": {Type: "list", Member: ref("Wagon")},
		"Wagon":  {Type: "structure", Members: map[string]awsmodel.Reference{"load": ref("Count"), "next": ref("Wagon")}},
		"Tags":   {Type: "map", Key: ref("Text"), Value: ref("Text")},
	}}
	train := ref("Train")
	w := &writer{model: m, named: optimizedNames}
	w.operation(action{name: "couple", patterns: []string{"sync"}, input: &train})
	w.operation(action{name: "brake", input: &train, json: []string{"/Tags"}, any: []string{"Own"}})
	w.operation(action{name: "whistle"})
	w.unknown(action{name: "shunt"})
	want := []string{
		"brake 4", "couple sync 0", "shunt a", "whistle -", "",
		"{ More=a Name*=t Tags=1 Token=t Wagons=2", "< t", "[ 3", "{ Load=i Next=3",
		"{ More=a Name*=t Tags=j Token=t Wagons=5 Own=a", "[ 6", "{ Load=i Next=6", "",
	}
	if got := strings.Split(w.String(), "\n"); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	w = &writer{model: m, named: optimizedNames, tokens: true}
	w.operation(action{name: "couple", input: &train})
	if text := w.String(); !strings.Contains(text, " Token*=t ") {
		t.Errorf("%q does not want the token", text)
	}
}
