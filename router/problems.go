package router

import (
	"errors"
	"fmt"
)

// problems collects what is wrong with a config, so that an operator sees all
// of it at once.
type problems struct {
	where    string // the route or component under examination
	errs     []error
	warnings []string
}

func (p *problems) errorf(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: "+format, append([]any{p.where}, args...)...))
}

func (p *problems) warnf(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf("%s: "+format, append([]any{p.where}, args...)...))
}

func (p *problems) err() error { return errors.Join(p.errs...) }
