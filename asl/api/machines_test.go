package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsAreShownWithDefaults(t *testing.T) {
	s := serve(t)
	group := []any{m{"cloudWatchLogsLogGroup": m{"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:g:*"}}}
	off := m{"level": "OFF", "includeExecutionData": false}
	owned := m{"type": "AWS_OWNED_KEY"}
	key := m{"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "alias/k", "kmsDataKeyReusePeriodSeconds": 120.0}
	for name, row := range map[string]struct{ in, logging, tracing, encryption m }{
		"nothing":         {m{}, off, m{"enabled": false}, owned},
		"empty":           {m{"loggingConfiguration": m{}, "tracingConfiguration": m{}}, off, m{"enabled": false}, owned},
		"null":            {m{"loggingConfiguration": nil, "encryptionConfiguration": nil}, off, m{"enabled": false}, owned},
		"no-destinations": {m{"loggingConfiguration": m{"destinations": []m{}}}, m{"level": "OFF", "includeExecutionData": false, "destinations": []any{}}, m{"enabled": false}, owned},
		"everything": {
			m{"loggingConfiguration": m{"level": "ERROR", "destinations": group}, "tracingConfiguration": m{"enabled": true}, "encryptionConfiguration": key},
			m{"level": "ERROR", "includeExecutionData": false, "destinations": group}, m{"enabled": true}, key,
		},
	} {
		row.in["name"], row.in["definition"], row.in["roleArn"] = name, passing, role
		arn := do(t, s, "CreateStateMachine", row.in)["stateMachineArn"]
		started := do(t, s, "StartExecution", m{"stateMachineArn": arn})
		for _, d := range []m{do(t, s, "DescribeStateMachine", m{"stateMachineArn": arn}), do(t, s, "DescribeStateMachineForExecution", m{"executionArn": started["executionArn"]})} {
			got := m{"l": d["loggingConfiguration"], "t": d["tracingConfiguration"], "e": d["encryptionConfiguration"]}
			if diff := cmp.Diff(m{"l": row.logging, "t": row.tracing, "e": row.encryption}, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	s := serve(t)
	arn := do(t, s, "CreateStateMachine", m{"name": "n", "definition": passing, "roleArn": role})["stateMachineArn"]
	group := m{"cloudWatchLogsLogGroup": m{"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:g:*"}}
	const logging, encryption = "loggingConfiguration", "encryptionConfiguration"
	for name, row := range map[string]struct {
		field string
		in    m
		code  string
	}{
		"logs that go nowhere":       {logging, m{"level": "FATAL"}, "InvalidLoggingConfiguration"},
		"an empty list":              {logging, m{"level": "ALL", "destinations": []m{}}, "InvalidLoggingConfiguration"},
		"a destination of nothing":   {logging, m{"level": "ALL", "destinations": []m{{}}}, "InvalidLoggingConfiguration"},
		"a log group without an ARN": {logging, m{"level": "ERROR", "destinations": []m{{"cloudWatchLogsLogGroup": m{}}}}, "InvalidLoggingConfiguration"},
		"two destinations":           {logging, m{"level": "ALL", "destinations": []m{group, group}}, "InvalidLoggingConfiguration"},
		"unknown level":              {logging, m{"level": "WARN", "destinations": []m{group}}, "ValidationException"},
		"level of the wrong type":    {logging, m{"level": 1}, "SerializationException"},
		"no type of key":             {encryption, m{"kmsKeyId": "k"}, "ValidationException"},
		"unknown type of key":        {encryption, m{"type": "MINE"}, "ValidationException"},
		"customer's key without one": {encryption, m{"type": "CUSTOMER_MANAGED_KMS_KEY"}, "InvalidEncryptionConfiguration"},
		"AWS's key with one":         {encryption, m{"type": "AWS_OWNED_KEY", "kmsKeyId": "k"}, "InvalidEncryptionConfiguration"},
	} {
		for action, in := range map[string]m{"CreateStateMachine": {"name": "x", "definition": passing, "roleArn": role}, "UpdateStateMachine": {"stateMachineArn": arn}} {
			in[row.field] = row.in
			if _, answer := post(t, s, "AWSStepFunctions."+action, body(in)); answer["__type"] != row.code {
				t.Errorf("%s with %s: %v, want %s", action, name, answer, row.code)
			}
		}
	}
}

func TestUpdateThatChangesNothingKeepsTheRevision(t *testing.T) {
	s := serve(t)
	arn := do(t, s, "CreateStateMachine", m{"name": "n", "definition": passing, "roleArn": role})["stateMachineArn"]
	same := func(more m) m {
		in := m{"stateMachineArn": arn, "definition": passing, "roleArn": role, "loggingConfiguration": m{"level": "OFF"}, "tracingConfiguration": m{"enabled": false}}
		for k, v := range more {
			in[k] = v
		}
		return in
	}
	if got := do(t, s, "UpdateStateMachine", same(nil)); got["revisionId"] != nil || got["updateDate"] == nil {
		t.Errorf("never changed: %v", got)
	}
	first := do(t, s, "UpdateStateMachine", same(m{"publish": true}))
	if first["stateMachineVersionArn"] != arn.(string)+":1" || first["revisionId"] != nil {
		t.Errorf("first version: %v", first)
	}
	if again := do(t, s, "UpdateStateMachine", same(m{"publish": true, "versionDescription": "d"})); !cmp.Equal(again, first) {
		t.Errorf("published again: %v, want %v", again, first)
	}
	changed := do(t, s, "UpdateStateMachine", same(m{"tracingConfiguration": m{"enabled": true}}))
	if changed["revisionId"] == nil {
		t.Errorf("changed: %v", changed)
	}
	kept := do(t, s, "UpdateStateMachine", m{"stateMachineArn": arn, "tracingConfiguration": m{"enabled": true}, "publish": true})
	if kept["revisionId"] != changed["revisionId"] || kept["updateDate"] != changed["updateDate"] || kept["stateMachineVersionArn"] != arn.(string)+":2" {
		t.Errorf("the same as before: %v after %v", kept, changed)
	}
	if back := do(t, s, "UpdateStateMachine", same(nil)); back["revisionId"] == changed["revisionId"] {
		t.Errorf("changed back: %v", back)
	}
}

func TestVariableReferences(t *testing.T) {
	s := serve(t)
	arn := do(t, s, "CreateStateMachine", m{"name": "n", "roleArn": role, "definition": `{"StartAt":"Set","States":{
		"Set":{"Type":"Pass","Assign":{"limit":3,"zone":"a"},"Next":"Each"},
		"Each":{"Type":"Map","ItemsPath":"$.l","MaxConcurrencyPath":"$limit","ItemSelector":{"z.$":"States.Format('{}{}', $zone, States.Array($limit, $zone))"},
			"ItemProcessor":{"StartAt":"Pick","States":{
				"Pick":{"Type":"Choice","Choices":[{"Variable":"$limit.n","NumericLessThanPath":"$zone","Next":"Bad"}],"Default":"Hold"},
				"Hold":{"Type":"Wait","SecondsPath":"$limit","Next":"Plain"},
				"Plain":{"Type":"Pass","Parameters":{"a":"$zone","b.$":"$.zone","c.$":"$$.Execution.Id"},"End":true},
				"Bad":{"Type":"Fail","ErrorPath":"$zone","CausePath":"States.Format('{}', $why)"}}},
			"Catch":[{"ErrorEquals":["States.ALL"],"Assign":{"e.$":"$other.x"},"Next":"Set2"}],"End":true},
		"Set2":{"Type":"Succeed"}}}`})["stateMachineArn"]
	want := m{"Each": []any{"limit", "other", "zone"}, "Pick": []any{"limit", "zone"}, "Hold": []any{"limit"}, "Bad": []any{"why", "zone"}}
	if diff := cmp.Diff(any(want), do(t, s, "DescribeStateMachine", m{"stateMachineArn": arn})["variableReferences"]); diff != "" {
		t.Error(diff)
	}
}

func TestVariableReferencesInJSONata(t *testing.T) {
	s := serve(t)
	arn := do(t, s, "CreateStateMachine", m{"name": "n", "roleArn": role, "definition": `{"QueryLanguage":"JSONata","StartAt":"Set","States":{
		"Set":{"Type":"Pass","Assign":{"limit":3,"zone":"{% $states.input.zone %}"},"Next":"Each"},
		"Each":{"Type":"Map","Items":"{% $states.input.l[n < $limit] %}","MaxConcurrency":"{% $limit %}","ItemSelector":{"z":{"in":["{% $uppercase($zone) %}"]}},
			"ItemProcessor":{"StartAt":"Pick","States":{
				"Pick":{"Type":"Choice","Choices":[{"Condition":"{% ($own := 1; $own + $limit > $count($states.input)) %}","Next":"Bad"}],"Default":"Hold"},
				"Hold":{"Type":"Wait","Seconds":"{% $states.input.s %}","Output":"{% $map([1], function($v) { $v + $limit }) %}","Next":"Plain"},
				"Plain":{"Type":"Pass","Output":{"a":"$zone","b":"{% 'zone' %}"},"End":true},
				"Bad":{"Type":"Fail","Cause":"{% $zone & $reason.text %}"}}},
			"Catch":[{"ErrorEquals":["States.ALL"],"Assign":{"reason":"{% $states.errorOutput %}","zone":"{% $limit %}"},"Next":"Last"}],"Next":"Last"},
		"Last":{"Type":"Succeed","Output":"{% $exists($reason) %}"}}}`})["stateMachineArn"]
	want := m{
		"Each": []any{"limit", "zone"}, "Pick": []any{"limit"}, "Hold": []any{"limit"}, "Bad": []any{"reason", "zone"}, "Last": []any{"reason"},
	}
	if diff := cmp.Diff(any(want), do(t, s, "DescribeStateMachine", m{"stateMachineArn": arn})["variableReferences"]); diff != "" {
		t.Error(diff)
	}
}
