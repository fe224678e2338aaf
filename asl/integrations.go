package asl

import (
	"errors"
	"fmt"
	"strings"

	"switchyard/asl/integration"
	"switchyard/asl/value"
	"switchyard/internal/nearest"
)

// integration checks whether Step Functions has the integration that a Task
// state's resource names, and takes what stands in the field with its
// parameters.
func (o *object) integration(resource, field string, read integration.Reader) {
	if o.stored || !integration.Is(resource) {
		return
	}
	call, err := integration.Find(resource)
	if err != nil {
		o.failAt("Resource", err.Error(), unknownPart(err))
		return
	}
	parameters, ok := o.v.Get(field)
	if !ok {
		o.add(tolerated, CodeSchema, o.at, o.offset, "", field+" field is required for resource ARN: "+resource)
		return
	}
	for _, p := range call.Check(field, parameters, read) {
		offset, detail := o.valueOffset(field), ""
		if p.Index >= 0 {
			offset = o.src.KeyOffset(p.In, p.Index)
		}
		if near := nearest.Name(p.Field, p.Known); near != "" {
			detail = "did you mean " + near + "?"
		}
		o.add(tolerated, CodeSchema, o.at+"/"+field, offset, detail, p.Message)
	}
}

// unknownPart says which part of a resource's name is not known, and what was
// likely meant.
func unknownPart(err error) string {
	var unknown *integration.UnknownError
	if !errors.As(err, &unknown) {
		return ""
	}
	switch u := unknown; {
	case u.Pattern != "" && len(u.Instead) == 0:
		return fmt.Sprintf("nothing can follow %s", u.Action)
	case u.Pattern != "":
		return fmt.Sprintf("only .%s can follow %s", strings.Join(u.Instead, " or ."), u.Action)
	case u.Action == "" && u.Instead == nil:
		return "there is no integration with " + u.Service
	}
	if near := nearest.Name(unknown.Action, unknown.Instead); near != "" {
		return "did you mean " + near + "?"
	}
	return unknown.Service + " has no action " + unknown.Action
}

// refusal is the error of a state whose task cannot be started with these
// computed arguments, which stand in the field; nil when it can, or when the
// state has none.
func (s *State) refusal(field string, arguments value.Value) error {
	if s.Task == nil {
		return nil
	}
	if why := integration.Refusal(s.Task.Resource, field, arguments); why != "" {
		return runtimeError("%s", why)
	}
	return nil
}
