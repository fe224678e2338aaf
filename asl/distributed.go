package asl

import (
	"fmt"

	"switchyard/asl/value"
)

// ResourcePutObject is the only Resource that a ResultWriter can have.
const ResourcePutObject = "arn:aws:states:::s3:putObject"

// writing gives what w, nil for none, and its evaluated parameters say.
func (w *ResultWriter) writing(params value.Value) (Writing, error) {
	if w == nil {
		return Writing{Transformation: "COMPACT"}, nil
	}
	r := Writing{Transformation: w.Transformation, Lines: w.OutputType == "JSONL", Export: w.Resource != ""}
	if r.Transformation == "" {
		r.Transformation = "NONE"
	}
	if !r.Export {
		return r, nil
	}
	if w.Resource != ResourcePutObject {
		return r, WriterFailed("The resource '%s' cannot write results: use %s.", w.Resource, ResourcePutObject)
	}
	var err error
	if r.Bucket, err = TextParameter(params, "Bucket", true); err != nil {
		return r, WriterFailed("%v", err)
	}
	if r.Prefix, err = TextParameter(params, "Prefix", false); err != nil {
		return r, WriterFailed("%v", err)
	}
	return r, nil
}

// WriterFailed is the error of a ResultWriter.
func WriterFailed(format string, args ...any) error {
	return &Error{Name: ErrResultWriterFailed, Cause: fmt.Sprintf(format, args...)}
}

// TextParameter reads a parameter that is a text: "" when it is absent and not
// needed.
func TextParameter(params value.Value, name string, needed bool) (string, error) {
	v, ok := params.Get(name)
	if !ok && !needed {
		return "", nil
	}
	text, isText := v.Str()
	if !ok || !isText || text == "" && needed {
		return "", fmt.Errorf("the parameter '%s' must be a text that is not empty", name)
	}
	return text, nil
}
