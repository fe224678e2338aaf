//go:build unix

package main

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
)

// functionKey is the access key of the function, by which its calls are told from
// the test's own.
const functionKey = "AKIDFUNCTION"

// permitted fails a test when the function calls what deploy/iam.yaml does not give
// it: its role, which is made of that list, would be refused.
type permitted struct {
	actions map[string]bool
	mu      sync.Mutex
	calls   map[string]bool
}

func newPermitted(t *testing.T) *permitted {
	t.Helper()
	text, err := os.ReadFile("../../deploy/iam.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Calls []struct {
			Call     string `yaml:"call"`
			Function bool   `yaml:"function"`
		} `yaml:"calls"`
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	p := &permitted{actions: map[string]bool{}, calls: map[string]bool{}}
	for _, c := range list.Calls {
		if c.Function {
			p.actions[c.Call] = true
		}
	}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for call := range p.calls {
			if !p.actions[call] {
				t.Errorf("the function calls %s, and deploy/iam.yaml has no such call with function: true", call)
			}
		}
		if len(p.calls) == 0 && !t.Failed() {
			t.Error("no call of the function was noticed")
		}
	})
	return p
}

// note records a call of the function.
func (p *permitted) note(r *http.Request) {
	if !strings.Contains(r.Header.Get("Authorization"), "Credential="+functionKey+"/") {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[calledFor(r)] = true
}

// calledFor names what a request asks for, as iam.yaml does.
func calledFor(r *http.Request) string {
	if service, op, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		names := map[string]string{"AWSStepFunctions": "sfn", "AmazonSQS": "sqs"}
		if name := names[service]; name != "" {
			return name + "." + op
		}
		return service + "." + op
	}
	// S3: an object of a bucket in the path.
	_, object, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	if object != "" && len(r.URL.Query()) <= 1 { // x-id alone
		switch r.Method {
		case http.MethodPut:
			return "s3.PutObject"
		case http.MethodGet:
			return "s3.GetObject"
		}
	}
	return r.Method + " " + r.URL.String()
}
