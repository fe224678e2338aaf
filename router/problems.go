package router

import (
	"errors"
	"fmt"
	"strings"
)

// KeyError is one thing that is wrong with a config. [New] returns them joined.
type KeyError struct {
	// Path is the key, for example routes[0].branches[1] or components.api.
	Path string
	// Owner is the route or component as a person finds it, for example
	// routes[0] "branches"; Key is where in it, empty for the whole.
	Owner, Key string
	// Message says what is wrong and what to write instead.
	Message string
}

func (e *KeyError) Error() string {
	return say(e.Owner, e.Key, e.Message)
}

// say puts an element of a list, with which a message begins, right after its
// place.
func say(owner, key, message string) string {
	switch {
	case key == "":
		return owner + ": " + message
	case strings.HasSuffix(key, "]") && strings.HasPrefix(message, `"`):
		return owner + ": " + key + " " + message
	}
	return owner + ": " + key + ": " + message
}

// problems collects what is wrong with a config, so that an operator sees all
// of it at once.
type problems struct {
	path, owner string // of the route or component under examination
	errs        []error
	warnings    []string
}

func (p *problems) errorf(key, format string, args ...any) {
	e := &KeyError{Path: p.path, Owner: p.owner, Key: key, Message: fmt.Sprintf(format, args...)}
	if key != "" {
		e.Path += "." + key
	}
	p.errs = append(p.errs, e)
}

func (p *problems) warn(key, message string) {
	p.warnings = append(p.warnings, say(p.owner, key, message))
}

func (p *problems) err() error { return errors.Join(p.errs...) }
