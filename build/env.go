//go:build unix

package build

import (
	"fmt"
	"os"
	"strings"
)

// maxVariable is Linux's limit for one NAME=value (MAX_ARG_STRLEN), less the
// ending NUL. A longer one makes every exec fail.
const maxVariable = 128<<10 - 1

// checkVariable refuses what can't be an environment variable of a shell.
func checkVariable(name, value string) error {
	if !isIdentifier(name) {
		return fmt.Errorf("environment variable name %q must be letters, digits and _, not beginning with a digit", name)
	}
	if strings.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("environment variable %s has a NUL byte", name)
	}
	if n := len(name) + 1 + len(value); n > maxVariable {
		return fmt.Errorf("environment variable %s has %d bytes with its name; the system allows %d", name, n, maxVariable)
	}
	return nil
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// environment is an ordered set of variables; a later value replaces an
// earlier one.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if e.values == nil {
		e.values = make(map[string]string)
	}
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) inherit(names []string) {
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			e.set(name, v)
		}
	}
}

// list is the form that exec takes.
func (e *environment) list() []string {
	out := make([]string, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, n+"="+e.values[n])
	}
	return out
}
