// Package awsmodel checks requests and answers of AWS's JSON services against
// the model that AWS publishes of them with botocore. A stand-in of such a
// service uses it, so that neither the code under test nor the stand-in can
// agree on something that the service would refuse.
//
// It is for tests and for what generates code from the models.
package awsmodel

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Model is what botocore says of one service, service-2.json. It is safe for
// concurrent use.
type Model struct {
	Metadata struct {
		// ServiceID is what the SDKs name the service by, such as "CloudWatch Logs".
		ServiceID string `json:"serviceId"`
		// TargetPrefix stands before the operation in the header X-Amz-Target.
		TargetPrefix string `json:"targetPrefix"`
		JSONVersion  string `json:"jsonVersion"`
	} `json:"metadata"`
	Operations map[string]*Operation `json:"operations"`
	Shapes     map[string]*Shape     `json:"shapes"`
}

// Operation is one call of the service.
type Operation struct {
	Input  *Reference  `json:"input"`
	Output *Reference  `json:"output"`
	Errors []Reference `json:"errors"`
}

// Reference names a shape where it is used.
type Reference struct {
	Shape string `json:"shape"`
	// LocationName is the member's name on the wire, where that is another.
	LocationName string `json:"locationName"`
	// IdempotencyToken is true for a member that SDKs fill in where it is missing.
	IdempotencyToken bool `json:"idempotencyToken"`
}

// Shape is a type.
type Shape struct {
	Type     string               `json:"type"`
	Members  map[string]Reference `json:"members"`
	Required []string             `json:"required"`
	// Member is that of a list, Key and Value those of a map.
	Member  Reference `json:"member"`
	Key     Reference `json:"key"`
	Value   Reference `json:"value"`
	Enum    []string  `json:"enum"`
	Pattern string    `json:"pattern"`
	Min     *float64  `json:"min"`
	Max     *float64  `json:"max"`
	// Exception is true for what an operation may fail with.
	Exception bool `json:"exception"`
	Fault     bool `json:"fault"`
	// EventStream is true for what comes or goes piece by piece, Document for any
	// JSON value.
	EventStream bool `json:"eventstream"`
	Document    bool `json:"document"`

	matches *regexp.Regexp
}

// Load reads a service's newest model from a folder of botocore's data, such as
// "codecommit". See [Data].
func Load(data, service string) (*Model, error) {
	found, err := filepath.Glob(filepath.Join(data, service, "*", "service-2.json*"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no model of the service %s", data, service)
	}
	path := slices.Max(found)
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var text io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if text, err = gzip.NewReader(file); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	m := &Model{}
	if err := json.NewDecoder(text).Decode(m); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := m.prepare(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// prepare compiles the patterns and makes sure that each reference leads
// somewhere.
func (m *Model) prepare() error {
	check := func(where string, r Reference) error {
		if m.Shapes[r.Shape] == nil {
			return fmt.Errorf("%s: there is no shape %q", where, r.Shape)
		}
		return nil
	}
	for name, s := range m.Shapes {
		refs := map[string]Reference{}
		for member, r := range s.Members {
			refs[member] = r
		}
		switch s.Type {
		case "list":
			refs["member"] = s.Member
		case "map":
			refs["key"], refs["value"] = s.Key, s.Value
		}
		for member, r := range refs {
			if err := check(name+"."+member, r); err != nil {
				return err
			}
		}
		if s.Pattern != "" {
			// The services match the whole text. The few patterns that Go cannot
			// compile, with lookaheads, are left unchecked.
			s.matches, _ = regexp.Compile(`\A(?:` + s.Pattern + `)\z`)
		}
	}
	for name, op := range m.Operations {
		refs := slices.Clone(op.Errors)
		for _, r := range []*Reference{op.Input, op.Output} {
			if r != nil {
				refs = append(refs, *r)
			}
		}
		for _, r := range refs {
			if err := check(name, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// May reports whether the model lets an operation fail with an error.
func (m *Model) May(operation, code string) bool {
	op := m.Operations[operation]
	return op != nil && slices.ContainsFunc(op.Errors, func(r Reference) bool { return r.Shape == code })
}

// Data finds botocore's folder of models: SWITCHYARD_BOTOCORE_DATA names it, else
// the python3 on the PATH is asked for its botocore.
var Data = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("SWITCHYARD_BOTOCORE_DATA"); dir != "" {
		return dir, nil
	}
	out, err := exec.Command("python3", "-c", "import botocore, os; print(os.path.join(os.path.dirname(botocore.__file__), 'data'))").Output() //nolint:noctx // ends by itself
	if err != nil {
		return "", fmt.Errorf("no service models: set SWITCHYARD_BOTOCORE_DATA to the folder botocore/data, or install botocore for python3 (%w)", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// TB is the part of [testing.TB] that [ForTest] needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// ForTest loads a service's model. Where there is none, it returns nil, with
// which nothing is checked, but fails the test where SWITCHYARD_REQUIRE_SERVERS=1
// is set.
func ForTest(t TB, service string) *Model {
	t.Helper()
	data, err := Data()
	if err == nil {
		var m *Model
		if m, err = Load(data, service); err == nil {
			return m
		}
	}
	if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
		t.Fatalf("%v", err)
	}
	t.Logf("requests and answers are not checked against the service's model: %v", err)
	return nil
}
