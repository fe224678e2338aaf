// Package openapi checks requests and answers against the OpenAPI description
// that a vendor publishes of its API. A stand-in of the API uses it, so that
// neither the code under test nor the stand-in can agree on something that the
// vendor's API does not do.
//
// It reads version 3.0 as JSON, and is for tests only.
package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// Description is what the vendor says of an API. It is safe for concurrent use.
type Description struct {
	paths map[string]map[string]json.RawMessage
	// components are named by kind and name, such as schemas/status.
	components map[string]map[string]json.RawMessage

	mu         sync.Mutex
	operations map[string]*Operation
}

// Operation is one call of the API.
type Operation struct {
	name    string
	request *check
	// query are the names of the parameters that may stand in the query.
	query []string
	// answers are by status code; a nil check is an answer without a JSON body.
	answers map[int]*check
}

// Load reads a description. A nil Description, as for a test without one, checks
// nothing.
func Load(path string) (*Description, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var top struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &top); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if !strings.HasPrefix(top.OpenAPI, "3.0.") || len(top.Paths) == 0 {
		return nil, fmt.Errorf("%s is not an OpenAPI 3.0 description", path)
	}
	return &Description{paths: top.Paths, components: top.Components, operations: map[string]*Operation{}}, nil
}

// Operation returns what is described of a method of a path, which is written
// with its placeholders.
func (d *Description) Operation(method, path string) (*Operation, error) {
	if d == nil {
		return nil, nil
	}
	name := method + " " + path
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.operations[name]; o != nil {
		return o, nil
	}
	raw, known := d.paths[path][strings.ToLower(method)]
	if !known {
		return nil, fmt.Errorf("the API has no %s", name)
	}
	o, err := d.read(name, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d.operations[name] = o
	return o, nil
}

type body struct {
	Content map[string]struct{ Schema json.RawMessage }
}

func (d *Description) read(name string, raw json.RawMessage) (*Operation, error) {
	var in struct {
		Parameters  []json.RawMessage
		RequestBody *json.RawMessage
		Responses   map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	o := &Operation{name: name, answers: map[int]*check{}}
	for _, p := range in.Parameters {
		var parameter struct{ Name, In string }
		if err := d.follow(p, &parameter); err != nil {
			return nil, err
		}
		if parameter.In == "query" {
			o.query = append(o.query, parameter.Name)
		}
	}
	if in.RequestBody != nil {
		var b body
		err := d.follow(*in.RequestBody, &b)
		if err == nil {
			o.request, err = d.check(b)
		}
		if err != nil {
			return nil, fmt.Errorf("its request: %w", err)
		}
	}
	for status, r := range in.Responses {
		code, err := strconv.Atoi(status)
		if err != nil {
			continue // "default", "4XX"
		}
		var b body
		if err = d.follow(r, &b); err == nil {
			o.answers[code], err = d.check(b)
		}
		if err != nil {
			return nil, fmt.Errorf("its answer %s: %w", status, err)
		}
	}
	return o, nil
}

// follow decodes what raw is, or refers to.
func (d *Description) follow(raw json.RawMessage, into any) error {
	var ref struct {
		Ref string `json:"$ref"`
	}
	if err := json.Unmarshal(raw, &ref); err != nil {
		return err
	}
	if ref.Ref == "" {
		return json.Unmarshal(raw, into)
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(ref.Ref, "#/components/"), "/")
	found, ok := d.components[kind][name]
	if !ok {
		return fmt.Errorf("%s leads nowhere", ref.Ref)
	}
	return d.follow(found, into)
}

// Request checks what is sent.
func (o *Operation) Request(query url.Values, body []byte) error {
	if o == nil {
		return nil
	}
	for name := range query {
		if !slices.Contains(o.query, name) {
			return fmt.Errorf("%s has no parameter %q in its query, it has %v", o.name, name, o.query)
		}
	}
	switch {
	case o.request == nil && len(body) > 0:
		return fmt.Errorf("%s takes no body", o.name)
	case o.request == nil || len(body) == 0:
		return nil
	}
	if err := o.request.do(body); err != nil {
		return fmt.Errorf("the request of %s: %w", o.name, err)
	}
	return nil
}

// Answer checks what is answered. Codes of failures that the description of the
// operation does not list are let through: descriptions leave them out.
func (o *Operation) Answer(code int, body []byte) error {
	if o == nil {
		return nil
	}
	c, listed := o.answers[code]
	switch {
	case !listed && code >= 400, code == 304 && len(body) == 0:
		return nil
	case !listed:
		return fmt.Errorf("%s does not answer %d", o.name, code)
	case c == nil && len(body) > 0:
		return fmt.Errorf("the answer %d of %s has no body", code, o.name)
	case c == nil:
		return nil
	}
	if err := c.do(body); err != nil {
		return fmt.Errorf("the answer %d of %s: %w", code, o.name, err)
	}
	return nil
}

// check is a schema, and the members that what it describes may have: a schema
// lets others through, among them those that are misspelt.
type check struct {
	schema  *jsonschema.Resolved
	members map[string]bool
}

func (c *check) do(body []byte) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	if err := c.schema.Validate(value); err != nil {
		return err
	}
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	var unknown []error
	for _, v := range list {
		members, _ := v.(map[string]any)
		for name := range members {
			if c.members != nil && !c.members[name] {
				unknown = append(unknown, fmt.Errorf("there is no member %q", name))
			}
		}
	}
	return errors.Join(unknown...)
}
