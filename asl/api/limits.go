package api

import (
	"reflect"
	"unicode/utf8"
)

// textLimit is how many characters a text of a request may have. A sensitive one
// is not repeated in the answer.
type textLimit struct {
	most      int
	sensitive bool
}

// textLimits are those of the service's model, by the field's name. Source:
// https://github.com/aws/api-models-aws/tree/main/models/sfn
var textLimits = map[string]textLimit{
	"name":                   {80, false},
	"workerName":             {80, false},
	"clientToken":            {64, false},
	"traceHeader":            {256, false},
	"nextToken":              {3096, false},
	"stateMachineArn":        {256, false},
	"stateMachineAliasArn":   {256, false},
	"stateMachineVersionArn": {2000, false},
	"executionArn":           {256, false},
	"activityArn":            {256, false},
	"resourceArn":            {256, false},
	"mapRunArn":              {2000, false},
	"roleArn":                {256, false},
	"taskToken":              {2048, true},
	"error":                  {256, true},
	"cause":                  {32768, true},
}

// limitedField is a text field of a request.
type limitedField struct {
	index []int
	name  string
	textLimit
}

// limitedFields are those of a type of request.
func limitedFields(t reflect.Type) []limitedField {
	var fields []limitedField
	for _, f := range reflect.VisibleFields(t) {
		name := f.Tag.Get("json")
		if l, ok := textLimits[name]; ok && f.Type.Kind() == reflect.String {
			fields = append(fields, limitedField{f.Index, name, l})
		}
	}
	return fields
}

// checkTexts refuses texts that are too long, in AWS's words.
func checkTexts(in reflect.Value, fields []limitedField) error {
	for _, f := range fields {
		text := in.FieldByIndex(f.index).String()
		if len(text) <= f.most || utf8.RuneCountInString(text) <= f.most {
			continue
		}
		shown := "Value '" + text + "'"
		if f.sensitive {
			shown = "Value"
		}
		return invalid("%s at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", shown, f.name, f.most)
	}
	return nil
}
