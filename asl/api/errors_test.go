package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const expressExecution = "arn:aws:states:us-east-1:123456789012:express:fast:x:7b7cb3f1-5f9e-4e8f-9dfe-2f6c2b1a9a01"

// task is a definition with one Task state.
func taskOf(resource string) string {
	return `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + resource + `","End":true}}}`
}

// TestErrorsOfVersionsAliasesTagsAndExpress holds the answers to what was
// recorded of Step Functions, where the text is whole.
func TestErrorsOfVersionsAliasesTagsAndExpress(t *testing.T) {
	s := serve(t)
	arn := machineARN + "n"
	do(t, s, "CreateStateMachine", m{"name": "n", "definition": passing, "roleArn": role, "publish": true})
	do(t, s, "UpdateStateMachine", m{"stateMachineArn": arn, "definition": waiting, "publish": true})
	do(t, s, "CreateStateMachine", m{"name": "other", "definition": passing, "roleArn": role, "publish": true})
	do(t, s, "CreateStateMachine", m{"name": "fast", "definition": passing, "roleArn": role, "type": "EXPRESS"})
	route := func(pairs ...any) (routes []m) {
		for i := 0; i < len(pairs); i += 2 {
			routes = append(routes, m{"stateMachineVersionArn": machineARN + pairs[i].(string), "weight": pairs[i+1]})
		}
		return routes
	}
	alias := func(name string, routes []m) m { return m{"name": name, "routingConfiguration": routes} }
	do(t, s, "CreateStateMachineAlias", alias("live", route("n:1", 100)))
	const pattern = `' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`
	const express = "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: Express state machine does not support "
	create := func(definition string) m {
		return m{"name": "e", "definition": definition, "roleArn": role, "type": "EXPRESS"}
	}
	for _, row := range []struct {
		name, action  string
		in            m
		code, message string
	}{
		{"description of no version", "CreateStateMachine", m{"name": "x", "definition": passing, "roleArn": role, "versionDescription": "d"}, "ValidationException", "Version description can only be set when publish is true"},
		{"description of no version at an update", "UpdateStateMachine", m{"stateMachineArn": arn, "definition": passing, "versionDescription": "d"}, "ValidationException", "Version description can only be set when publish is true"},
		{"description too long", "PublishStateMachineVersion", m{"stateMachineArn": arn, "description": strings.Repeat("d", 257)}, "ValidationException", "256"},
		{"creation with another version", "CreateStateMachine", m{"name": "n", "definition": waiting, "roleArn": role, "publish": true, "versionDescription": "other"}, "StateMachineAlreadyExists", "State Machine Already Exists: '" + arn + "'"},
		{"update of a version", "UpdateStateMachine", m{"stateMachineArn": arn + ":1", "definition": passing}, "StateMachineDoesNotExist", "State Machine Does Not Exist: '" + arn + ":1'"},
		{"publish without machine", "PublishStateMachineVersion", m{}, "ValidationException", "'stateMachineArn'"},
		{"publish of no machine", "PublishStateMachineVersion", m{"stateMachineArn": arn + "o"}, "StateMachineDoesNotExist", arn + "o"},
		{"publish of a version", "PublishStateMachineVersion", m{"stateMachineArn": arn + ":1"}, "StateMachineDoesNotExist", arn + ":1"},
		{"publish of another revision", "PublishStateMachineVersion", m{"stateMachineArn": machineARN + "other", "revisionId": "r"}, "ConflictException", "Failed to publish the State Machine version for revision r. The current State Machine revision is INITIAL."},
		{"versions of no machine", "ListStateMachineVersions", m{"stateMachineArn": arn + "o"}, "StateMachineDoesNotExist", arn + "o"},
		{"versions after a token of another list", "ListStateMachineVersions", m{"stateMachineArn": arn, "nextToken": "bWFjaGluZXMAYQ"}, "InvalidToken", "Invalid Token: 'Invalid token'"},
		{"deletion of a version as a machine", "DeleteStateMachine", m{"stateMachineArn": arn + ":1"}, "ValidationException", arn + ":1"},
		{"deletion of an alias as a machine", "DeleteStateMachine", m{"stateMachineArn": arn + ":live"}, "ValidationException", arn + ":live"},
		{"deletion of a machine as a version", "DeleteStateMachineVersion", m{"stateMachineVersionArn": arn}, "ValidationException", arn},
		{"deletion of a version that is no ARN", "DeleteStateMachineVersion", m{"stateMachineVersionArn": "n:1"}, "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: n:1'"},
		{"deletion of a version in use", "DeleteStateMachineVersion", m{"stateMachineVersionArn": arn + ":1"}, "ConflictException", "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [live]"},
		{"start of no version", "StartExecution", m{"stateMachineArn": arn + ":9"}, "StateMachineDoesNotExist", "State Machine Does Not Exist: '" + arn + ":9'"},
		{"start of no alias", "StartExecution", m{"stateMachineArn": arn + ":dead"}, "StateMachineDoesNotExist", arn + ":dead"},
		{"description of no version", "DescribeStateMachine", m{"stateMachineArn": arn + ":9"}, "StateMachineDoesNotExist", arn + ":9"},
		{"executions of no alias", "ListExecutions", m{"stateMachineArn": arn + ":dead"}, "StateMachineDoesNotExist", arn + ":dead"},

		{"alias of a number", "CreateStateMachineAlias", alias("123", route("n:1", 100)), "ValidationException", "1 validation error detected: Value '123" + pattern},
		{"alias with a blank", "CreateStateMachineAlias", alias("IN VALID", route("n:1", 100)), "ValidationException", "1 validation error detected: Value 'IN VALID" + pattern},
		{"alias too long", "CreateStateMachineAlias", alias(strings.Repeat("A", 81), route("n:1", 100)), "ValidationException", "Member must have length less than or equal to 80"},
		{"alias without routes", "CreateStateMachineAlias", m{"name": "a"}, "ValidationException", "'routingConfiguration'"},
		{"alias of nothing", "CreateStateMachineAlias", alias("a", []m{}), "ValidationException", "Member must have length greater than or equal to 1"},
		{"alias of three", "CreateStateMachineAlias", alias("a", route("n:1", 50, "n:2", 30, "n:3", 20)), "ValidationException", "1 validation error detected: Value '[RoutingConfigurationListItem(stateMachineVersionArn=" + arn + ":1, weight=50), RoutingConfigurationListItem(stateMachineVersionArn=" + arn + ":2, weight=30), RoutingConfigurationListItem(stateMachineVersionArn=" + arn + ":3, weight=20)]' at 'routingConfiguration' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{"alias of a machine", "CreateStateMachineAlias", alias("a", route("n", 50, "n:2", 50)), "ValidationException", "Routing configuration must contain state machine version ARNs. Received: [" + arn + ", " + arn + ":2]"},
		{"alias of one twice", "CreateStateMachineAlias", alias("a", route("n:1", 50, "n:1", 50)), "ValidationException", "Routing configuration must contain distinct state machine version ARNs. Received: [" + arn + ":1, " + arn + ":1]"},
		{"alias of two machines", "CreateStateMachineAlias", alias("a", route("n:1", 50, "other:1", 50)), "ValidationException", "same state machine"},
		{"weight too large", "CreateStateMachineAlias", alias("a", route("n:1", 101)), "ValidationException", "1 validation error detected: Value '101' at 'routingConfiguration.1.member.weight' failed to satisfy constraint: Member must have value less than or equal to 100"},
		{"weight too small", "CreateStateMachineAlias", alias("a", route("n:1", -1)), "ValidationException", "Member must have value greater than or equal to 0"},
		{"weights too small", "CreateStateMachineAlias", alias("a", route("n:1", 70, "n:2", 29)), "ValidationException", "Sum of routing configuration weights must equal 100. Received: [70, 29]"},
		{"alias of a version that is not there", "CreateStateMachineAlias", alias("a", route("n:9", 100)), "ResourceNotFound", "Request references a resource that does not exist."},
		{"alias of another machine", "CreateStateMachineAlias", alias("live", route("n:2", 100)), "ConflictException", "Failed to create alias because an alias with the same name and a different routing configuration already exists."},
		{"update of no alias", "UpdateStateMachineAlias", m{"stateMachineAliasArn": arn + ":dead", "description": "d"}, "ResourceNotFound", "Request references a resource that does not exist."},
		{"update to nothing", "UpdateStateMachineAlias", m{"stateMachineAliasArn": arn + ":live"}, "ValidationException", "must be specified"},
		{"update to another machine", "UpdateStateMachineAlias", m{"stateMachineAliasArn": arn + ":live", "routingConfiguration": route("other:1", 100)}, "ValidationException", "own state machine"},
		{"description of a version as an alias", "DescribeStateMachineAlias", m{"stateMachineAliasArn": arn + ":1"}, "ResourceNotFound", "does not exist"},
		{"deletion of an alias that is no ARN", "DeleteStateMachineAlias", m{"stateMachineAliasArn": "live"}, "InvalidArn", "live"},
		{"aliases of no machine", "ListStateMachineAliases", m{"stateMachineArn": arn + "o"}, "StateMachineDoesNotExist", arn + "o"},

		{"tags of a version", "TagResource", m{"resourceArn": arn + ":1", "tags": []m{{"key": "k"}}}, "ResourceNotFound", "Resource not found: '" + arn + ":1'"},
		{"tags of nothing", "ListTagsForResource", m{"resourceArn": arn + "o"}, "ResourceNotFound", "Resource not found: '" + arn + "o'"},
		{"tags of no ARN", "UntagResource", m{"resourceArn": "n", "tagKeys": []string{}}, "InvalidArn", "n"},
		{"no tags", "TagResource", m{"resourceArn": arn}, "ValidationException", "'tags'"},
		{"tag without key", "TagResource", m{"resourceArn": arn, "tags": []m{{"value": "v"}}}, "ValidationException", "'tags.1.member.key'"},
		{"reserved tag", "TagResource", m{"resourceArn": arn, "tags": []m{{"key": "AWS:x"}}}, "ValidationException", "reserved"},
		{"tag with a control character", "TagResource", m{"resourceArn": arn, "tags": []m{{"key": "a\x00"}}}, "ValidationException", "consist of"},
		{"tag too long", "TagResource", m{"resourceArn": arn, "tags": []m{{"key": "k", "value": strings.Repeat("v", 257)}}}, "ValidationException", "256"},
		{"too many tags at the creation", "CreateStateMachine", m{"name": "x", "definition": passing, "roleArn": role, "tags": manyTags(51)}, "TooManyTags", "51"},

		{"executions of an EXPRESS machine", "ListExecutions", m{"stateMachineArn": machineARN + "fast"}, "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"},
		{"EXPRESS execution described", "DescribeExecution", m{"executionArn": expressExecution}, "InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'"},
		{"EXPRESS execution stopped", "StopExecution", m{"executionArn": expressExecution}, "InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'"},
		{"history of an EXPRESS execution", "GetExecutionHistory", m{"executionArn": expressExecution}, "InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'"},
		{"EXPRESS execution redriven", "RedriveExecution", m{"executionArn": expressExecution}, "InvalidArn", "express"},
		{"STANDARD machine run synchronously", "StartSyncExecution", m{"stateMachineArn": arn}, "StateMachineTypeNotSupported", "type of state machine"},
		{"EXPRESS with .sync", "CreateStateMachine", create(taskOf("arn:aws:states:::states:startExecution.sync")), "InvalidDefinition", express + "'.sync' service integration at /States/T/Resource'"},
		{"EXPRESS with a token", "CreateStateMachine", create(taskOf("arn:aws:states:::sns:publish.waitForTaskToken")), "InvalidDefinition", express + "'.waitForTaskToken' service integration  at /States/T/Resource'"},
		{"EXPRESS with an activity", "CreateStateMachine", create(taskOf("arn:aws:states:us-east-1:123456789012:activity:a")), "InvalidDefinition", express + "Activity ARN at /States/T/Resource'"},
		{"EXPRESS with a distributed Map", "CreateStateMachine", create(`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}}}}`), "InvalidDefinition", "'DISTRIBUTED'"},
		{"EXPRESS with .sync in a branch", "CreateStateMachine", create(`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[` + taskOf("arn:aws:states:::ecs:runTask.sync") + `]}}}`), "InvalidDefinition", "at /States/P/Branches[0]/States/T/Resource'"},
		{"EXPRESS updated to .sync", "UpdateStateMachine", m{"stateMachineArn": machineARN + "fast", "definition": taskOf("arn:aws:states:::ecs:runTask.sync")}, "InvalidDefinition", "'.sync'"},
		{"redrive without execution", "RedriveExecution", m{}, "ValidationException", "'executionArn'"},
		{"redrive with a long token", "RedriveExecution", m{"executionArn": expressExecution, "clientToken": strings.Repeat("t", 65)}, "ValidationException", "'clientToken'"},
		{"redrive of nothing", "RedriveExecution", m{"executionArn": "arn:aws:states:us-east-1:123456789012:execution:n:gone"}, "ExecutionDoesNotExist", "gone"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, answer := post(t, s, "AWSStepFunctions."+row.action, body(row.in))
			message, _ := answer["message"].(string)
			if status != http.StatusBadRequest || answer["__type"] != row.code || !strings.Contains(message, row.message) {
				t.Errorf("%d %v: %s\nwant 400 %s: %s", status, answer["__type"], message, row.code, row.message)
			}
		})
	}
}

func manyTags(n int) (tags []m) {
	for i := range n {
		tags = append(tags, m{"key": fmt.Sprint("k", i), "value": "v"})
	}
	return tags
}

func TestQuotasOfVersionsAndAliases(t *testing.T) {
	s := serve(t)
	arn := machineARN + "n"
	do(t, s, "CreateStateMachine", m{"name": "n", "definition": passing, "roleArn": role, "publish": true})
	for i := range 999 {
		do(t, s, "UpdateStateMachine", m{"stateMachineArn": arn, "roleArn": fmt.Sprint(role, i), "publish": true})
	}
	do(t, s, "UpdateStateMachine", m{"stateMachineArn": arn, "roleArn": role})
	if _, answer := post(t, s, "AWSStepFunctions.PublishStateMachineVersion", body(m{"stateMachineArn": arn})); answer["__type"] != "ServiceQuotaExceededException" {
		t.Errorf("version 1,001: %v", answer)
	}
	if _, answer := post(t, s, "AWSStepFunctions.UpdateStateMachine", body(m{"stateMachineArn": arn, "definition": waiting, "publish": true})); answer["__type"] != "ServiceQuotaExceededException" {
		t.Errorf("version 1,001 by an update: %v", answer)
	}
	if d := do(t, s, "DescribeStateMachine", m{"stateMachineArn": arn}); d["definition"] != passing {
		t.Error("an update that was refused has changed the state machine")
	}
	in := func(i int) m {
		return m{"name": fmt.Sprint("a", i), "routingConfiguration": []m{{"stateMachineVersionArn": arn + ":1", "weight": 100}}}
	}
	for i := range 100 {
		do(t, s, "CreateStateMachineAlias", in(i))
	}
	if _, answer := post(t, s, "AWSStepFunctions.CreateStateMachineAlias", body(in(100))); answer["__type"] != "ServiceQuotaExceededException" {
		t.Errorf("alias 101: %v", answer)
	}
}
