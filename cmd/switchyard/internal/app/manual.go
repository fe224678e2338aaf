package app

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"switchyard/internal/event"
)

// manualRoute is the route under which executions started by hand appear.
const manualRoute = "manual"

// starter makes requests of execution inputs that people wrote: the input of
// the design, of which nothing is required. Each call is an execution of its
// own, also with the same input.
func starter(machines []string) func(machine string, input []byte) (event.Request, error) {
	return func(machine string, input []byte) (event.Request, error) {
		if machine == "" && len(machines) == 1 {
			machine = machines[0]
		}
		if !slices.Contains(machines, machine) {
			return event.Request{}, fmt.Errorf("state machine %q is none of %s; name one with state_machine", machine, strings.Join(machines, ", "))
		}
		var in struct {
			Environment string `json:"environment"`
			Commit      struct {
				SHA     string `json:"sha"`
				Message string `json:"message"`
				Author  string `json:"author"`
				URL     string `json:"url"`
			} `json:"commit"`
			Source struct {
				Repository string `json:"repository"`
				Ref        string `json:"ref"`
			} `json:"source"`
			OverrideBranches json.RawMessage `json:"override_branches"`
		}
		if err := json.Unmarshal(input, &in); err != nil {
			return event.Request{}, fmt.Errorf("the input is not the JSON object it should be: %w", err)
		}
		if string(bytes.TrimSpace(input)) == "null" { // which Unmarshal takes for any object
			return event.Request{}, errors.New("the input is not the JSON object it should be: it is null")
		}
		if err := checkOverrides(in.OverrideBranches); err != nil {
			return event.Request{}, err
		}
		random := make([]byte, 8)
		rand.Read(random)
		name := manualRoute
		if sha := in.Commit.SHA; isHex(sha) {
			name += "-" + sha[:min(12, len(sha))]
		}
		return event.Request{
			ID:           name + "-" + hex.EncodeToString(random),
			Route:        manualRoute,
			StateMachine: machine,
			Environment:  in.Environment,
			Repository:   in.Source.Repository,
			Ref:          in.Source.Ref,
			Kind:         event.Push,
			Commit:       event.Commit{SHA: in.Commit.SHA, Message: in.Commit.Message, Author: in.Commit.Author, URL: in.Commit.URL},
			Input:        input,
			Reason:       "started by hand",
		}, nil
	}
}

// checkOverrides accepts both shapes of override_branches: a list of objects
// with project and branch, or an object from project to branch.
func checkOverrides(text json.RawMessage) error {
	if len(text) == 0 {
		return nil
	}
	var object map[string]string
	if json.Unmarshal(text, &object) == nil {
		return nil
	}
	type override struct {
		Project string `json:"project"`
		Branch  string `json:"branch"`
	}
	var list []override
	nameless := func(o override) bool { return o.Project == "" || o.Branch == "" }
	if json.Unmarshal(text, &list) == nil && !slices.ContainsFunc(list, nameless) {
		return nil
	}
	return errors.New(`override_branches is {"<project>": "<branch>"} or [{"project": "…", "branch": "…"}]`)
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
