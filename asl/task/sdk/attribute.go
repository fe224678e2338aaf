package sdk

import (
	"encoding/base64"
	"fmt"
	"strings"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// attribute is DynamoDB's value of the form {"S": "text"}.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
func attribute(in any, at string) (ddb.AttributeValue, error) {
	fields, ok := in.(map[string]any)
	if !ok || len(fields) != 1 {
		return nil, fmt.Errorf(`%s must be an object with one member that says its type, such as {"S": "text"}`, at)
	}
	for kind, value := range fields {
		kind = strings.ToUpper(kind) // Bool and Ss are other names of BOOL and SS
		a, err := attributeOf(kind, value, at)
		if err != nil {
			return nil, err
		}
		if a == nil {
			return nil, wrong(join(at, kind), attributeKinds[kind], value)
		}
		return a, nil
	}
	return nil, nil
}

// attributeKinds are the members of which a value has one, and what each takes.
var attributeKinds = map[string]string{
	"S": "a text", "N": "a number in a text", "B": "base64", "BOOL": "a boolean", "NULL": "a boolean",
	"SS": "a list of texts", "NS": "a list of numbers in texts", "BS": "a list of base64", "L": "a list", "M": "an object",
}

// attributeOf is nil where the value is not what its kind takes.
func attributeOf(kind string, value any, at string) (ddb.AttributeValue, error) {
	text, isText := value.(string)
	is, isBool := value.(bool)
	switch {
	case attributeKinds[kind] == "":
		return nil, fmt.Errorf("The field %q is not supported by Step Functions", kind) //nolint:staticcheck // AWS's sentence
	case kind == "S" && isText:
		return &ddb.AttributeValueMemberS{Value: text}, nil
	case kind == "N" && isText:
		return &ddb.AttributeValueMemberN{Value: text}, nil
	case kind == "BOOL" && isBool:
		return &ddb.AttributeValueMemberBOOL{Value: is}, nil
	case kind == "NULL" && isBool:
		return &ddb.AttributeValueMemberNULL{Value: is}, nil
	case kind == "B" && isText:
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", join(at, kind), err)
		}
		return &ddb.AttributeValueMemberB{Value: raw}, nil
	case kind == "M":
		fields, ok := value.(map[string]any)
		if !ok {
			return nil, nil
		}
		all := make(map[string]ddb.AttributeValue, len(fields))
		for name, field := range fields {
			a, err := attribute(field, join(at, name))
			if err != nil {
				return nil, err
			}
			all[name] = a
		}
		return &ddb.AttributeValueMemberM{Value: all}, nil
	}
	items, ok := value.([]any)
	if !ok {
		return nil, nil
	}
	return attributeList(kind, items, at)
}

func attributeList(kind string, items []any, at string) (ddb.AttributeValue, error) {
	switch kind {
	case "L":
		all := make([]ddb.AttributeValue, len(items))
		for i, item := range items {
			a, err := attribute(item, at)
			if err != nil {
				return nil, err
			}
			all[i] = a
		}
		return &ddb.AttributeValueMemberL{Value: all}, nil
	case "SS", "NS", "BS":
		var texts []string
		var raw [][]byte
		for _, item := range items {
			text, ok := item.(string)
			if !ok {
				return nil, nil
			}
			texts = append(texts, text)
			if kind == "BS" {
				b, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", join(at, kind), err)
				}
				raw = append(raw, b)
			}
		}
		switch kind {
		case "SS":
			return &ddb.AttributeValueMemberSS{Value: texts}, nil
		case "NS":
			return &ddb.AttributeValueMemberNS{Value: texts}, nil
		default:
			return &ddb.AttributeValueMemberBS{Value: raw}, nil
		}
	}
	return nil, nil
}

// attributeJSON is the form that [attribute] reads.
func attributeJSON(a ddb.AttributeValue) (any, error) {
	switch a := a.(type) {
	case *ddb.AttributeValueMemberS:
		return map[string]any{"S": a.Value}, nil
	case *ddb.AttributeValueMemberN:
		return map[string]any{"N": a.Value}, nil
	case *ddb.AttributeValueMemberB:
		return map[string]any{"B": a.Value}, nil // which encoding/json writes as base64
	case *ddb.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": a.Value}, nil
	case *ddb.AttributeValueMemberNULL:
		return map[string]any{"NULL": a.Value}, nil
	case *ddb.AttributeValueMemberSS:
		return map[string]any{"SS": a.Value}, nil
	case *ddb.AttributeValueMemberNS:
		return map[string]any{"NS": a.Value}, nil
	case *ddb.AttributeValueMemberBS:
		return map[string]any{"BS": a.Value}, nil
	case *ddb.AttributeValueMemberL:
		items := make([]any, len(a.Value))
		for i, item := range a.Value {
			value, err := attributeJSON(item)
			if err != nil {
				return nil, err
			}
			items[i] = value
		}
		return map[string]any{"L": items}, nil
	case *ddb.AttributeValueMemberM:
		fields := make(map[string]any, len(a.Value))
		for name, field := range a.Value {
			value, err := attributeJSON(field)
			if err != nil {
				return nil, err
			}
			fields[name] = value
		}
		return map[string]any{"M": fields}, nil
	default:
		return nil, fmt.Errorf("DynamoDB has a type of value that is not known here, %T", a)
	}
}
