package engine

import (
	"context"
	"encoding/json"
	"testing"

	"switchyard/asl/task"
)

func FuzzGlobMatch(f *testing.F) {
	for _, row := range []struct{ pattern, s string }{
		{"arn:aws:lambda:*", "arn:aws:lambda:eu-west-1:1:function:f"}, {"a*b*c", "abc"}, {"*", ""}, {"a", "b"},
	} {
		f.Add(row.pattern, row.s)
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if globMatch(pattern, s) && !globMatch("*"+pattern+"*", "x"+s+"y") {
			t.Errorf("%q matches %q, but not with more around both", pattern, s)
		}
	})
}

func TestHandlersAreFoundByTheClosestPattern(t *testing.T) {
	e := &Engine{}
	for _, pattern := range []string{"*", "arn:aws:lambda:*", "arn:aws:lambda:*:function:f", "arn:aws:lambda:eu-west-1:1:function:f"} {
		e.handlers = append(e.handlers, handler{pattern, fakeHandler{pattern}})
	}
	if err := sortHandlers(e.handlers); err != nil {
		t.Fatal(err)
	}
	for resource, want := range map[string]string{
		"arn:aws:lambda:eu-west-1:1:function:f": "arn:aws:lambda:eu-west-1:1:function:f",
		"arn:aws:lambda:eu-west-1:2:function:f": "arn:aws:lambda:*:function:f",
		"arn:aws:lambda:eu-west-1:2:function:g": "arn:aws:lambda:*",
		"arn:aws:states:::sns:publish":          "*",
	} {
		if got := e.handlerFor(resource); got != (fakeHandler{want}) {
			t.Errorf("%s is done by %v, want %s", resource, got, want)
		}
	}
}

type fakeHandler struct{ pattern string }

func (fakeHandler) Run(context.Context, task.Task) (json.RawMessage, error) { return nil, nil }
