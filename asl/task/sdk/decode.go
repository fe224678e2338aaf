package sdk

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	names "switchyard/asl/integration"
)

var (
	timeType      = reflect.TypeFor[time.Time]()
	bytesType     = reflect.TypeFor[[]byte]()
	attributeType = reflect.TypeFor[ddb.AttributeValue]()
	readerType    = reflect.TypeFor[io.Reader]()
)

// decoder puts the parameters of a state into an operation's input. Members have
// the names of Step Functions, which are those of the SDK's structures: in Pascal
// case whatever the service's API has.
type decoder struct {
	texts map[string]bool // see integration
}

// decode sets v to what in says; at is its path of names, without indices.
func (d decoder) decode(v reflect.Value, in any, at string) error {
	if in == nil {
		return nil
	}
	switch v.Type() {
	case timeType:
		return set(v, in, at, parseTime)
	case bytesType:
		text, err := textOf(in)
		v.SetBytes([]byte(text))
		return err
	case attributeType:
		a, err := attribute(in, at)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(a))
		return nil
	case readerType:
		text, err := textOf(in)
		v.Set(reflect.ValueOf(strings.NewReader(text)))
		return err
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(v.Elem(), in, at)
	case reflect.Struct:
		return d.object(v, in, at)
	case reflect.Map:
		return d.mapping(v, in, at)
	case reflect.Slice:
		return d.list(v, in, at)
	case reflect.String:
		if d.texts[at] {
			text, err := textOf(in)
			v.SetString(text)
			return err
		}
		return set(v, in, at, func(text string) (string, error) { return text, nil })
	case reflect.Bool:
		is, ok := in.(bool)
		if !ok {
			return wrong(at, "a boolean", in)
		}
		v.SetBool(is)
		return nil
	default:
		return number(v, in, at)
	}
}

func (d decoder) object(v reflect.Value, in any, at string) error {
	fields, ok := in.(map[string]any)
	if !ok {
		return wrong(at, "an object", in)
	}
	for name, value := range fields {
		f, ok := field(v.Type(), name)
		if !ok {
			return fmt.Errorf("The field %q is not supported by Step Functions", name) //nolint:staticcheck // AWS's sentence
		}
		if err := d.decode(v.FieldByIndex(f.Index), value, join(at, name)); err != nil {
			return err
		}
	}
	return nil
}

// field finds a member by its name in Step Functions, or by the service's own.
func field(t reflect.Type, name string) (reflect.StructField, bool) {
	f, ok := t.FieldByName(name)
	if !ok {
		f, ok = t.FieldByNameFunc(func(member string) bool { return names.SDKName(member) == name })
	}
	return f, ok && f.IsExported() && !f.Anonymous
}

func (d decoder) mapping(v reflect.Value, in any, at string) error {
	fields, ok := in.(map[string]any)
	if !ok {
		return wrong(at, "an object", in)
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(fields)))
	for name, value := range fields {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := d.decode(e, value, join(at, name)); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), e)
	}
	return nil
}

func (d decoder) list(v reflect.Value, in any, at string) error {
	items, ok := in.([]any)
	if !ok {
		return wrong(at, "a list", in)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		if err := d.decode(v.Index(i), item, at); err != nil {
			return err
		}
	}
	return nil
}

// number sets what is a number, and refuses what can't be set at all.
func number(v reflect.Value, in any, at string) error {
	n, ok := in.(json.Number)
	switch v.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		whole, err := strconv.ParseInt(n.String(), 10, v.Type().Bits())
		if !ok || err != nil {
			return wrong(at, "an integer", in)
		}
		v.SetInt(whole)
	case reflect.Float32, reflect.Float64:
		f, err := n.Float64()
		if !ok || err != nil {
			return wrong(at, "a number", in)
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("the embedded engine cannot set %s", at)
	}
	return nil
}

// set sets v to what parse makes of a text.
func set[T any](v reflect.Value, in any, at string, parse func(string) (T, error)) error {
	text, ok := in.(string)
	if !ok {
		return wrong(at, "a text", in)
	}
	parsed, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	v.Set(reflect.ValueOf(parsed).Convert(v.Type()))
	return nil
}

func parseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) }

// textOf is a text as it is, and anything else as JSON.
func textOf(in any) (string, error) {
	if text, ok := in.(string); ok {
		return text, nil
	}
	text, err := json.Marshal(in)
	return string(text), err
}

func wrong(at, want string, in any) error {
	kind := "an object"
	switch in.(type) {
	case string:
		kind = "a text"
	case json.Number:
		kind = "a number"
	case bool:
		kind = "a boolean"
	case []any:
		kind = "a list"
	}
	return fmt.Errorf("%s must be %s, not %s", at, want, kind)
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
