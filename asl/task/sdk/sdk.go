// Package sdk calls services of AWS for the embedded engine, as Step Functions'
// integrations with the AWS SDK do (arn:aws:states:::aws-sdk:SERVICE:ACTION), and
// those of its own integrations that end with the call's answer.
//
// https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	names "switchyard/asl/integration"
	"switchyard/asl/task"
)

// Config says where the services are.
type Config struct {
	// AWS has credentials, region and HTTP client; without it no service is called
	// but Step Functions.
	AWS *aws.Config
	// Endpoint is called in the place of each service's own: that of an emulator.
	Endpoint string
	// StepFunctions is whom calls of the service sfn go to: the engine whose tasks
	// are run. It is asked for with each call. Without it there are none.
	StepFunctions func() *sfn.Client
}

// Handler calls services. It is safe for concurrent use.
type Handler struct {
	stepFunctions func() *sfn.Client
	clients       map[string]reflect.Value // of the other services, by their name in a resource
}

var _ task.Handler = (*Handler)(nil)

// New makes the clients; it calls nobody.
func New(cfg Config) *Handler {
	h := &Handler{stepFunctions: cfg.StepFunctions, clients: map[string]reflect.Value{}}
	if cfg.AWS == nil {
		return h
	}
	var endpoint *string
	if cfg.Endpoint != "" {
		endpoint = &cfg.Endpoint
	}
	for name, s := range services {
		if s.client != nil {
			h.clients[name] = reflect.ValueOf(s.client(*cfg.AWS, endpoint))
		}
	}
	return h
}

// Patterns are those of the resources that the handler serves, as the engine's
// WithHandler takes them. They may end with .waitForTaskToken.
func (h *Handler) Patterns() []string {
	if len(h.clients) == 0 {
		return []string{sdkPrefix + stepFunctions + ":*"}
	}
	patterns := []string{sdkPrefix + "*"}
	for _, resource := range slices.Sorted(maps.Keys(own)) {
		patterns = append(patterns, ownPrefix+resource)
	}
	return patterns
}

// stepFunctions is the name of Step Functions in a resource.
const stepFunctions = "sfn"

// client is that of a service; invalid where it is not called.
func (h *Handler) client(service string) reflect.Value {
	if service == stepFunctions && h.stepFunctions != nil {
		return reflect.ValueOf(h.stepFunctions())
	}
	return h.clients[service]
}

const (
	ownPrefix   = "arn:aws:states:::"
	sdkPrefix   = ownPrefix + "aws-sdk:"
	tokenSuffix = ".waitForTaskToken"
)

// errRuntime is the name of errors that a definition's author has to repair.
const errRuntime = "States.Runtime"

// Run makes the call that the resource names. Each attempt is one call: what is
// tried again is the state's Retry to say. A call that was under way when the
// process died is made again.
func (h *Handler) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	c, err := h.find(t.Resource)
	if err != nil {
		return nil, err
	}
	return c.make(ctx, t.Input)
}

// call is one operation of one service, and how its answer is told.
type call struct {
	integration
	method reflect.Value // (ctx, *Input, ...func(*Options)) (*Output, error)
}

// find finds the operation of a resource.
func (h *Handler) find(resource string) (call, error) {
	plain := strings.TrimSuffix(resource, tokenSuffix)
	i, found := own[strings.TrimPrefix(plain, ownPrefix)]
	if found {
		i.named = names.UpperFirst
	} else {
		name, action, _ := strings.Cut(strings.TrimPrefix(plain, sdkPrefix), ":")
		s, known := services[name]
		if !known {
			return call{}, &task.Error{Name: errRuntime, Cause: fmt.Sprintf("The embedded engine does not call the service of the resource '%s'. It calls %s.", resource, strings.Join(slices.Sorted(maps.Keys(services)), ", "))}
		}
		i = integration{service: name, action: action, named: names.SDKName, prefix: s.prefix, unknown: s.prefix + "Exception"}
	}
	client := h.client(i.service)
	if !client.IsValid() {
		return call{}, &task.Error{Name: errRuntime, Cause: fmt.Sprintf("Nothing serves the resource '%s' here.", resource)}
	}
	var method reflect.Value
	if i.action != "" && names.UpperFirst(i.action) != i.action {
		method = client.MethodByName(names.UpperFirst(i.action))
	}
	if !method.IsValid() || !isOperation(method.Type()) {
		return call{}, &task.Error{Name: errRuntime, Cause: fmt.Sprintf("The resource '%s' names no action of the service '%s'. Actions are written like createTopic.", resource, i.service)}
	}
	return call{integration: i, method: method}, nil
}

// isOperation reports whether a method of a client is a call of the service's
// API.
func isOperation(m reflect.Type) bool {
	return m.NumIn() == 3 && m.NumOut() == 2 && m.IsVariadic() && m.In(1).Kind() == reflect.Pointer && m.In(1).Elem().Kind() == reflect.Struct && m.Out(0).Kind() == reflect.Pointer
}

func (c call) make(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(input))
	d.UseNumber()
	var parameters any
	if err := d.Decode(&parameters); err != nil {
		return nil, fmt.Errorf("decode the input of %s: %w", c.action, err)
	}
	in := reflect.New(c.method.Type().In(1).Elem())
	if err := (decoder{texts: c.texts}).decode(in.Elem(), parameters, ""); err != nil {
		return nil, &task.Error{Name: errRuntime, Cause: fmt.Sprintf("The Parameters '%s' could not be used to start the Task: [%v]", input, err)}
	}
	answer := c.method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	if err, _ := answer[1].Interface().(error); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, c.failure(err)
	}
	out, err := encoder{c.named}.encode(answer[0])
	if err != nil {
		return nil, fmt.Errorf("the answer to %s: %w", c.action, err)
	}
	if c.check != nil {
		if err := c.check(answer[0].Interface()); err != nil {
			return nil, err
		}
	}
	fields, _ := out.(map[string]any)
	if fields == nil {
		fields = map[string]any{}
	}
	if c.metadata {
		maps.Copy(fields, metadata(answer[0]))
	}
	return json.Marshal(fields)
}
