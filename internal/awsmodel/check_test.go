package awsmodel_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/internal/awsmodel"
)

// The made-up service has each kind of rule once.
const service = `{
  "metadata": {"targetPrefix": "Yard_20260101", "jsonVersion": "1.1"},
  "operations": {
    "Couple": {"input": {"shape": "CoupleInput"}, "output": {"shape": "CoupleOutput"}, "errors": [{"shape": "NoSuchTrack"}]},
    "Shunt": {"input": {"shape": "CoupleInput"}}
  },
  "shapes": {
    "CoupleInput": {"type": "structure", "required": ["track", "wagons"], "members": {
      "track": {"shape": "Name"}, "wagons": {"shape": "Wagons"}, "gauge": {"shape": "Gauge"}, "speed": {"shape": "Speed"},
      "brakes": {"shape": "Yes"}, "load": {"shape": "Load"}, "labels": {"shape": "Labels"}, "at": {"shape": "When"}, "renamed": {"shape": "Name", "locationName": "Renamed"}}},
    "CoupleOutput": {"type": "structure", "required": ["count"], "members": {"count": {"shape": "Long"}}},
    "Name": {"type": "string", "min": 1, "max": 5, "pattern": "[\\w\\.-]+"},
    "Wagons": {"type": "list", "member": {"shape": "Name"}, "min": 1, "max": 3},
    "Gauge": {"type": "string", "enum": ["NARROW", "STANDARD"]},
    "Speed": {"type": "integer", "min": 0, "max": 300},
    "Long": {"type": "long"},
    "Yes": {"type": "boolean"},
    "Load": {"type": "blob", "max": 4},
    "Labels": {"type": "map", "key": {"shape": "Name"}, "value": {"shape": "Name"}, "max": 1},
    "When": {"type": "timestamp"},
    "NoSuchTrack": {"type": "structure", "members": {}, "exception": true}
  }
}`

func load(t *testing.T) *awsmodel.Model {
	t.Helper()
	dir := t.TempDir()
	for _, version := range []string{"2025-01-01", "2026-01-01"} {
		text := service
		if version == "2025-01-01" {
			text = `{"operations": {}, "shapes": {}}` // not the newest
		}
		if err := os.MkdirAll(filepath.Join(dir, "yard", version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "yard", version, "service-2.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := awsmodel.Load(dir, "yard")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestInputRefusesWhatTheModelDoes(t *testing.T) {
	m := load(t)
	for name, row := range map[string]struct{ body, wrong string }{
		"right":                     {`{"track":"a.1","wagons":["x"],"gauge":"NARROW","speed":300,"brakes":true,"load":"AAEC","labels":{"k":"v"},"at":1.5,"Renamed":"n"}`, ""},
		"null is left out":          {`{"track":"a","wagons":["x"],"gauge":null}`, ""},
		"missing":                   {`{"wagons":["x"]}`, "track is missing"},
		"required null":             {`{"track":null,"wagons":["x"]}`, "track is missing"},
		"all missing at once":       {`{}`, "wagons is missing"},
		"no body":                   {``, "track is missing"},
		"misspelt":                  {`{"track":"a","wagons":["x"],"Gauge":"NARROW"}`, "there is no member Gauge"},
		"not its name on the wire":  {`{"track":"a","wagons":["x"],"renamed":"n"}`, "there is no member renamed"},
		"wrong type":                {`{"track":7,"wagons":["x"]}`, "expected a string, got the number 7"},
		"text for a list":           {`{"track":"a","wagons":"x"}`, "expected a list, got a string"},
		"list for a structure":      {`[]`, "expected a structure, got a list"},
		"too long":                  {`{"track":"abcdef","wagons":["x"]}`, "6 characters, more than 5"},
		"too long within":           {`{"track":"a","wagons":["x","abcdef"]}`, "wagons[1]: 6 characters, more than 5"},
		"runes are counted":         {`{"track":"a","wagons":["x"],"Renamed":"ééééé"}`, "does not match"},
		"too short":                 {`{"track":"","wagons":["x"]}`, "0 characters, fewer than 1"},
		"pattern is for all of it":  {`{"track":"a/b","wagons":["x"]}`, "does not match"},
		"pattern with a line break": {`{"track":"a\n","wagons":["x"]}`, "does not match"},
		"list too long":             {`{"track":"a","wagons":["1","2","3","4"]}`, "4 entries, more than 3"},
		"list empty":                {`{"track":"a","wagons":[]}`, "0 entries, fewer than 1"},
		"not of the enum":           {`{"track":"a","wagons":["x"],"gauge":"narrow"}`, `"narrow" is not one of NARROW, STANDARD`},
		"fraction":                  {`{"track":"a","wagons":["x"],"speed":1.5}`, "expected a whole number of 32 bits"},
		"beyond 32 bits":            {`{"track":"a","wagons":["x"],"speed":4294967296}`, "expected a whole number of 32 bits"},
		"number too large":          {`{"track":"a","wagons":["x"],"speed":301}`, "301, more than 300"},
		"boolean as text":           {`{"track":"a","wagons":["x"],"brakes":"true"}`, "expected true or false, got a string"},
		"not base64":                {`{"track":"a","wagons":["x"],"load":"%"}`, "not base64"},
		"blob too long":             {`{"track":"a","wagons":["x"],"load":"AAECAwQ="}`, "5 bytes, more than 4"},
		"map too large":             {`{"track":"a","wagons":["x"],"labels":{"a":"b","c":"d"}}`, "2 entries, more than 1"},
		"map's key":                 {`{"track":"a","wagons":["x"],"labels":{"abcdef":"b"}}`, "labels key: 6 characters"},
		"time as text":              {`{"track":"a","wagons":["x"],"at":"2026-01-01"}`, "expected a number, got a string"},
		"no JSON":                   {`{"track"`, "not JSON"},
		"two values":                {`{"track":"a","wagons":["x"]}{}`, "something follows"},
	} {
		t.Run(name, func(t *testing.T) {
			err := m.Input("Couple", []byte(row.body))
			if (err == nil) != (row.wrong == "") || (err != nil && !strings.Contains(err.Error(), row.wrong)) {
				t.Errorf("Input = %v, want %q", err, row.wrong)
			}
		})
	}
	if err := m.Input("Derail", nil); err == nil {
		t.Error("an operation that the model does not have was accepted")
	}
}

func TestOutputRefusesWhatTheModelDoes(t *testing.T) {
	m := load(t)
	for _, row := range []struct {
		op, body string
		ok       bool
	}{
		{"Couple", `{"count":1}`, true}, {"Couple", `{}`, false}, {"Couple", `{"count":"1"}`, false}, {"Couple", `{"count":1,"more":2}`, false},
		{"Shunt", ``, true}, {"Shunt", `{}`, true}, {"Shunt", `{"count":1}`, false},
	} {
		if err := m.Output(row.op, []byte(row.body)); (err == nil) != row.ok {
			t.Errorf("Output(%s, %s) = %v", row.op, row.body, err)
		}
	}
}

func TestMayKnowsTheErrorsOfAnOperation(t *testing.T) {
	m := load(t)
	if !m.May("Couple", "NoSuchTrack") || m.May("Shunt", "NoSuchTrack") || m.May("Couple", "CoupleInput") || m.May("Derail", "NoSuchTrack") {
		t.Error("May does not follow the model")
	}
}

// What AWS publishes loads.
func TestPublishedModelsLoad(t *testing.T) {
	for _, name := range []string{"codecommit", "codepipeline", "stepfunctions"} {
		m := awsmodel.ForTest(t, name)
		if m == nil {
			t.Skip("there is no botocore here")
		}
		if len(m.Operations) < 10 || m.Metadata.TargetPrefix == "" {
			t.Errorf("%s: %d operations, target prefix %q", name, len(m.Operations), m.Metadata.TargetPrefix)
		}
	}
}
