package sdk

import (
	"encoding/base64"
	"fmt"
	"io"
	"reflect"
	"time"
	"unicode/utf8"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"switchyard/asl/task"
)

// maxBody bounds what is read of a body that is a stream: more than a state may
// have as its output, 256 KiB, would fail it anyway.
const maxBody = 1 << 18

var metadataType = reflect.TypeFor[middleware.Metadata]()

// encoder tells an operation's output.
type encoder struct {
	// named is a member's name in Step Functions.
	named func(string) string
}

// encode is an output as what encoding/json writes: members that the answer does
// not have are left out.
func (e encoder) encode(v reflect.Value) (any, error) {
	switch known := v.Interface().(type) {
	case time.Time:
		return known.UTC().Format("2006-01-02T15:04:05.999Z"), nil
	case []byte:
		if utf8.Valid(known) {
			return string(known), nil
		}
		return base64.StdEncoding.EncodeToString(known), nil
	case ddb.AttributeValue:
		return attributeJSON(known)
	case io.ReadCloser:
		defer known.Close()
		text, err := io.ReadAll(io.LimitReader(known, maxBody+1))
		return string(text), err
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return e.encode(v.Elem())
	case reflect.Struct:
		fields := map[string]any{}
		for _, f := range reflect.VisibleFields(v.Type()) {
			if !f.IsExported() || f.Type == metadataType || absent(v.FieldByIndex(f.Index)) {
				continue
			}
			value, err := e.encode(v.FieldByIndex(f.Index))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			fields[e.named(f.Name)] = value
		}
		return fields, nil
	case reflect.Map:
		fields := make(map[string]any, v.Len())
		for key, item := range v.Seq2() {
			value, err := e.encode(item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			fields[key.String()] = value
		}
		return fields, nil
	case reflect.Slice:
		items := make([]any, 0, v.Len())
		for _, item := range v.Seq2() {
			value, err := e.encode(item)
			if err != nil {
				return nil, err
			}
			items = append(items, value)
		}
		return items, nil
	default:
		return v.Interface(), nil
	}
}

// absent reports whether an output does not have a member. A text that is no
// pointer is one of an enumeration, of which none is empty.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	default:
		return false
	}
}

// metadata is what Step Functions' own integrations add to an answer.
func metadata(output reflect.Value) map[string]any {
	m, _ := output.Elem().FieldByName("ResultMetadata").Interface().(middleware.Metadata)
	add := map[string]any{}
	if id, ok := awsmiddleware.GetRequestIDMetadata(m); ok {
		add["SdkResponseMetadata"] = task.ResponseMetadata{RequestID: id}
	}
	if raw, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response); ok {
		first := map[string]string{}
		for name := range raw.Header {
			first[name] = raw.Header.Get(name)
		}
		add["SdkHttpMetadata"] = task.HTTPMetadata{HTTPStatusCode: raw.StatusCode, AllHTTPHeaders: raw.Header, HTTPHeaders: first}
	}
	return add
}
